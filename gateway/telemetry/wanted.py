"""Whether traces are asked for, by the variables that every OpenTelemetry service understands.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and, of the OTLP exporter,
https://opentelemetry.io/docs/specs/otel/protocol/exporter/. Unlike there, nothing is exported by default: an endpoint
or an exporter must be named. Imports nothing of OpenTelemetry, which need not be there.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTERS = ("otlp", "console")
#: What the extra installs, as far as it is imported.
_NEEDED = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")


class CannotTrace(Exception):
    """Traces are asked for and cannot be had; says why, and what to do."""


def exporters(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Where traces go: ``otlp``, ``console`` or both; empty where they are not asked for. Raises CannotTrace."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    named = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not named and any(environ.get(variable, "").strip() for variable in _ENDPOINTS):
        named = "otlp"
    names = tuple(dict.fromkeys(name.strip() for name in named.split(",") if name.strip()))
    if "none" in names or not names:
        return ()
    for name in names:
        if name not in _EXPORTERS:
            raise CannotTrace(f"OTEL_TRACES_EXPORTER: {name!r} is not known here; name otlp, console or none")
    protocol = next((value for variable in _PROTOCOLS if (value := environ.get(variable, "").strip().lower())), "")
    if "otlp" in names and protocol not in ("", "http/protobuf"):
        raise CannotTrace(
            f"OTEL_EXPORTER_OTLP_PROTOCOL: {protocol!r} is not spoken here; "
            "set http/protobuf, and the collector's port for that (4318)"
        )
    if not all(map(_is_installed, _NEEDED)):
        raise CannotTrace("OpenTelemetry is not installed; pip install 'llm-relay[otel]'")
    return names


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        # A package above it is missing.
        return False
