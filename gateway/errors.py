"""Every error that a client of the gateway can meet, with its answer.

::

    RelayError                      status, code, message, retry_after
    ├── ClientError                 the request itself is at fault; nothing was dialled
    │   ├── BadRequest              400, any code: invalid_json, missing_model, forbidden_field …
    │   ├── Unauthorized            401 invalid_api_key
    │   ├── Forbidden               403 origin_not_allowed …
    │   ├── ModelNotFound           404 model_not_found
    │   ├── NotFound                404 not_found
    │   ├── MethodNotAllowed        405 method_not_allowed
    │   ├── RequestTimeout          408 request_timeout
    │   ├── RequestTooLarge         413 request_too_large
    │   ├── UnsupportedMediaType    415 unsupported_media_type, unsupported_encoding
    │   ├── Misdirected             421 misdirected_request
    │   ├── HeadersTooLarge         431 headers_too_large
    │   └── TooManyRequests         429 rate_limit_exceeded
    ├── Unavailable                 503 overloaded: the gateway is full or draining
    ├── NoCandidate                 503 no_candidate: no candidate can serve this request
    ├── InternalError               500 internal_error: a defect of ours
    └── UpstreamError               a provider is at fault; another candidate may be tried
        ├── UpstreamConnectFailed       502
        ├── UpstreamTLSFailed           502
        ├── UpstreamProtocolError       502
        ├── UpstreamInvalidResponse     502
        ├── UpstreamResponseTooLarge    502
        ├── UpstreamTruncated           502
        ├── UpstreamFailed              502 upstream_error
        ├── UpstreamAuthFailed          502
        ├── UpstreamRateLimited         429
        ├── UpstreamOverloaded          503
        ├── UpstreamTimeout             504
        └── UpstreamRejected            the provider's own 4xx about the request: shown to the client,
                                        never tried elsewhere

An error's message is written for the client: it never holds request text, a file path, a key or a traceback.
The client's wire turns an error into bytes (:meth:`gateway.wire.Dialect.encode_error`).
"""

from __future__ import annotations

from typing import ClassVar


class RelayError(Exception):
    """The root: ``status`` is the HTTP status to answer with, ``code`` the stable machine-readable name."""

    status: int = 500
    code: str = "internal_error"

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        #: Seconds after which a new try makes sense, sent as ``Retry-After``; None where unknown.
        self.retry_after = retry_after
        #: The request that it ended has been accounted for.
        self.accounted = False


class ClientError(RelayError):
    """The request is at fault."""

    status = 400


class BadRequest(ClientError):
    """400 with a code that says which rule was broken; ``param`` names the field where one is at fault."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.param = param


class Unauthorized(ClientError):
    """No key, or one that no client owns."""

    status, code = 401, "invalid_api_key"


class Forbidden(ClientError):
    """Refused for where it comes from, not for what it asks."""

    status = 403

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ModelNotFound(ClientError):
    """Neither a router nor a model that this client may use."""

    status, code = 404, "model_not_found"


class NotFound(ClientError):
    """No such path."""

    status, code = 404, "not_found"


class MethodNotAllowed(ClientError):
    """The path exists, not with this method."""

    status, code = 405, "method_not_allowed"


class RequestTimeout(ClientError):
    """The request's body did not arrive in time."""

    status, code = 408, "request_timeout"


class RequestTooLarge(ClientError):
    """The request's body is over the limit."""

    status, code = 413, "request_too_large"


class UnsupportedMediaType(ClientError):
    """A content type or content encoding that is not read here."""

    status, code = 415, "unsupported_media_type"

    def __init__(self, message: str, *, code: str = "unsupported_media_type") -> None:
        super().__init__(message)
        self.code = code


class Misdirected(ClientError):
    """The Host header names a host that this gateway does not answer for."""

    status, code = 421, "misdirected_request"


class HeadersTooLarge(ClientError):
    """The request's head is over the limit."""

    status, code = 431, "headers_too_large"


class TooManyRequests(ClientError):
    """The client is over a limit of its own."""

    status, code = 429, "rate_limit_exceeded"


class Unavailable(RelayError):
    """The gateway itself is full or shutting down."""

    status, code = 503, "overloaded"


class NoCandidate(RelayError):
    """No candidate of the router can serve this request."""

    status, code = 503, "no_candidate"


class InternalError(RelayError):
    """A defect of ours; the log has the traceback under the request id."""


class UpstreamError(RelayError):
    """A provider failed. Before the first content reached the client another candidate may be tried."""

    status, code = 502, "upstream_error"
    #: Whether the same request may succeed at another candidate.
    failover: ClassVar[bool] = True


class UpstreamConnectFailed(UpstreamError):
    """DNS, refusal or an unreachable host."""

    code = "upstream_connect_failed"


class UpstreamTLSFailed(UpstreamError):
    """The certificate does not prove that this is the provider."""

    code = "upstream_tls_failed"


class UpstreamProtocolError(UpstreamError):
    """Not HTTP, or broken HTTP."""

    code = "upstream_protocol_error"


class UpstreamInvalidResponse(UpstreamError):
    """HTTP as it should be, but not an answer of this wire."""

    code = "upstream_invalid_response"


class UpstreamResponseTooLarge(UpstreamError):
    """An event or a body over our limits."""

    code = "upstream_response_too_large"


class UpstreamTruncated(UpstreamError):
    """The answer ended before the wire's terminator or the declared length."""

    code = "upstream_truncated"


class UpstreamFailed(UpstreamError):
    """The provider says that it failed (5xx, 404, or an error event inside a stream)."""


class UpstreamAuthFailed(UpstreamError):
    """The provider refused *our* key: never the client's 401."""

    code = "upstream_auth_failed"


class UpstreamRateLimited(UpstreamError):
    """The provider's 429."""

    status, code = 429, "upstream_rate_limited"


class UpstreamOverloaded(UpstreamError):
    """The provider says that it is overloaded (529, 503 of some)."""

    status, code = 503, "upstream_overloaded"


class UpstreamTimeout(UpstreamError):
    """One of our wall-clock deadlines passed: connect, first byte, idle or total."""

    status, code = 504, "upstream_timeout"


class UpstreamRejected(UpstreamError):
    """The provider refused the request for what it asks (400, 413, 422): the client's to mend, shown as it is.

    ``body`` and ``content_type`` are the provider's own answer, passed through where the client speaks the same
    wire; ``kind`` is the provider's error type or code, where it gave one.
    """

    failover = False

    def __init__(self, status: int, message: str, *, kind: str | None, body: bytes, content_type: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = kind or "upstream_rejected"
        self.body = body
        self.content_type = content_type
