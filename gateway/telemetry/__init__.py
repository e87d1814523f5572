"""Traces for OpenTelemetry. Loaded only where they are asked for: nothing on the way of a request imports it."""
