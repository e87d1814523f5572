"""The benchmark behind `make bench`: what one request costs, beside nginx on the same mock provider.

Three nginx-shaped parties take part. The *mock* provider is an nginx that answers from memory; the *reference* is an
nginx that only proxies to it; the *gateway* does its work in front of it. The one under test sits alone on the first
core; the mock and `wrk`, the load generator, share the others. So a figure is always a pair, measured in one run on one
machine, and the ratio is what can be compared between machines.

The event streams are sent by Debian's `echo` module for nginx, one write and one HTTP chunk per event, because a stream
that arrives in one piece would hide the cost of an event.
"""
