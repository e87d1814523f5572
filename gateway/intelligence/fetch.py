"""A small HTTP client for search providers, who are strangers: deadlines, size limits, no redirects, patience with 429.

Addresses come from the configuration and the environment alone. A redirect is never followed: it could lead into
one's own network, and no search API needs one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self

import httpx
import msgspec

#: Wall clock for one request, retries not counted; bytes of one answer.
SECONDS, BYTES = 30.0, 4 << 20
#: Times that a request is sent again after a 429, and the longest wait before that, in seconds.
RETRIES, LONGEST_WAIT = 2, 30.0


class SearchError(Exception):
    """A search provider's answer cannot be used; the message says why, without keys."""

    def __init__(self, message: str, *, status: int = 0, json: bool = True, said: object = None) -> None:
        super().__init__(message)
        #: The HTTP status, 0 where there was none.
        self.status = status
        #: Whether the answer was JSON, as far as there was one, and what it said then.
        self.json = json
        self.said = said


class Fetch:
    """``sleep`` and ``transport`` are the seams for tests."""

    def __init__(
        self,
        *,
        seconds: float = SECONDS,
        limit: int = BYTES,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._seconds = seconds
        self._limit = limit
        self._sleep = sleep
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "llm-relay"}
        self._client = httpx.AsyncClient(
            transport=transport, headers=headers, trust_env=False, follow_redirects=False, timeout=seconds
        )

    async def get(self, url: str, params: Mapping[str, str], headers: Mapping[str, str] | None = None) -> object:
        """The JSON that ``url`` answers. Raises SearchError."""
        return await self._json("GET", url, params=params, headers=headers)

    async def post(self, url: str, body: object, headers: Mapping[str, str] | None = None) -> object:
        """The JSON that ``url`` answers to the JSON ``body``. Raises SearchError."""
        whole = {"content-type": "application/json", **(headers or {})}
        return await self._json("POST", url, content=msgspec.json.encode(body), headers=whole)

    async def _json(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> object:
        for attempt in range(RETRIES + 1):
            request = self._client.build_request(method, url, params=params, content=content, headers=headers)
            status, wait, body = await self._once(request)
            if status != 429 or attempt == RETRIES:
                break
            await self._sleep(min(LONGEST_WAIT, 2.0**attempt if wait is None else wait))
        if status == 429:
            raise SearchError("it is rate limited (429), also after a wait", status=status)
        if 300 <= status < 400:
            raise SearchError(f"it redirects ({status}), which is never followed", status=status)
        try:
            # Python's own reader takes what Python's own writer makes: halves of characters, NaN.
            value: object = json.loads(body)
        except (ValueError, RecursionError):
            words = "its answer is not JSON" if status < 300 else f"it answers with status {status}"
            raise SearchError(words, status=status, json=False) from None
        if status >= 300:
            raise SearchError(f"it answers with status {status}", status=status, said=value)
        return value

    async def _once(self, request: httpx.Request) -> tuple[int, float | None, bytes]:
        """Status, the seconds that it asks to wait, and body."""
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._client.send(request, stream=True)
                try:
                    body = b""
                    if response.headers.get("content-encoding", "identity") != "identity":
                        raise SearchError("its answer is encoded, although none was asked for")
                    async for data in response.aiter_raw():
                        body += data
                        if len(body) > self._limit:
                            raise SearchError(f"its answer is over {self._limit:,} bytes")
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            raise SearchError(f"no whole answer within {self._seconds:g} s") from None
        except httpx.ConnectError:
            raise SearchError("it cannot be reached") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise SearchError(f"the exchange failed ({type(error).__name__})") from None
        return response.status_code, _wait(response.headers.get("retry-after", "")), body

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.aclose()


def _wait(text: str) -> float | None:
    """``Retry-After`` in seconds; its other form, a date, is not worth reading here."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
