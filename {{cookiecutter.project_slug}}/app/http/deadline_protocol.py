"""uvicorn's protocol, with the bounds that it lacks: a head has an end in size and in time.

A connection that sends no complete head in time is closed, whether it sends nothing, dawdles, or goes on sending a body
that nobody reads any more. Trailers are dropped: uvicorn would add them to the headers of a request that has been
judged by then. What the parser refuses is answered like any other error (ASVS 4.2.1).
"""

import asyncio
from typing import Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.core.errors import BadRequest, HeadersTooLarge, Problem, problem_response
from app.http.request_id import HEADER, new_request_id
from app.http.security_headers import HEADERS

HEAD_SECONDS = 20.0
MAX_HEAD_BYTES = 64 * 1024

_log = structlog.get_logger("server")


class DeadlineProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, head_seconds: float = HEAD_SECONDS, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_seconds = head_seconds
        self._deadline: asyncio.TimerHandle | None = None
        self._in_body = False
        # What came since the parser last had something whole: a head, trailers or chunk extensions without an end.
        self._unfinished_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a head."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Expect that what comes while no request is under way is the head of one, and that it is not too large."""
        if self._deadline is None and not _is_under_way(self.cycle):
            self._expect_head()
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self._unfinished_bytes > MAX_HEAD_BYTES:
            self._refuse(HeadersTooLarge("The header fields are too many or too large."))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; drop a trailer."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request. Only a path may be asked for: a target with a host in it could contradict `Host`."""
        self._expect_nothing()
        self._in_body = True
        self._unfinished_bytes = 0
        if not self.url.startswith(b"/"):
            message = "The request target is no path."
            raise httptools.HttpParserInvalidURLError(message)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._in_body = False
        self._unfinished_bytes = 0
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Expect nothing any more."""
        self._expect_nothing()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's text, which is not our error shape
        """Answer what the parser refuses."""
        self._refuse(BadRequest("The request is not well-formed HTTP."))

    def _refuse(self, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        if _is_under_way(self.cycle) and self.cycle.response_started:
            self.transport.close()
            return
        request_id = new_request_id()
        response = problem_response(problem, {"path": "/", "state": {"request_id": request_id}})
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            *HEADERS,
            (HEADER, request_id.encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        client = self.client[0] if self.client else None
        _log.warning("request_unreadable", status=problem.status, request_id=request_id, client=client)
        self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", bytes(response.body)]))
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: there is nothing to upgrade to, and the access line has the request."""

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(self._head_seconds, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _is_under_way(cycle: RequestResponseCycle | None) -> bool:
    return cycle is not None and not cycle.response_complete
