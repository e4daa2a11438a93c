"""uvicorn's protocol with what it lacks: deadlines for clients, and one meaning for each request.

A connection is closed if its client sends no complete head in time, or does not read its answers, or if it is the
longest idle of too many. Trailers are dropped, because uvicorn would add them to headers that were checked before. A
parser error is answered like any other error (ASVS 4.2.1).
"""

import asyncio
import socket
import struct
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import httptools
import structlog
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.core.errors import BadRequest, Problem, problem_response
from app.http.middleware.security_headers import security_headers
from app.http.request.request_id import HEADER, new_request_id

CLIENT_SECONDS = 20.0
MAX_HEAD_BYTES = 64 * 1024
# An answer is read at this many bytes per `CLIENT_SECONDS` at least: 3.2 KiB a second.
MIN_READ_BYTES = 64 * 1024
# Requests that one connection may send ahead of their answers. uvicorn parses one read of the socket in one go, so
# thousands of tiny ones would block the event loop.
MAX_PIPELINED = 64
# For requests on their way when the service ends: a proxy sends no write a second time.
DRAIN_SECONDS = 0.5

_log = structlog.get_logger("server")


class ConnectionLimit:
    """At most `most` open connections of a process, so that idle clients cannot lock others out (ASVS 15.2.2).

    One more closes the connection whose client has been idle the longest.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[DeadlineProtocol] = set()
        # In the order in which they began to wait for their clients.
        self._waiting: OrderedDict[DeadlineProtocol, None] = OrderedDict()
        self._is_full = False

    def add(self, connection: "DeadlineProtocol") -> None:
        """Count a new connection, which waits for its client. It may be closed itself if there are too many."""
        self._open.add(connection)
        self._waiting[connection] = None
        if len(self._open) > self._most:
            if not self._is_full:
                self._is_full = True
                _log.warning("connections_full", most=self._most)
            longest = next(iter(self._waiting))
            self.remove(longest)
            longest.cut_off()

    def set_waiting(self, connection: "DeadlineProtocol", *, waiting: bool) -> None:
        """Note whether the connection waits for its client, or the client for the service."""
        if not waiting:
            self._waiting.pop(connection, None)
        elif connection in self._open:
            self._waiting.setdefault(connection)

    def remove(self, connection: "DeadlineProtocol") -> None:
        """Remove a connection that is closed."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)
        if len(self._open) <= self._most // 2:
            self._is_full = False


class JoinedWrites:
    """What a request's answer is written to: its head waits for the body until the event loop goes on.

    A process that is killed between two writes leaves half an answer, which no proxy asks another process for.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: bytes | None = None
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Hold the first part, but a `100 Continue`, which is no answer; write each other one with what is held."""
        if self._held is None and data.startswith(b"HTTP/1.1 100 "):
            self._transport.write(data)
        elif self._held is None:
            self._held = data
            self._loop.call_soon(self.flush)
        else:
            data, self._held = self._held + data, b""
            self._transport.write(data)

    def flush(self) -> None:
        """Write what is held."""
        if self._held and not self.is_closing():
            self.write(b"")

    def close(self) -> None:
        """Close the connection once all is written."""
        self.flush()
        self._transport.close()


class DeadlineProtocol(HttpToolsProtocol):
    """One connection. `client_seconds` bounds the wait for a head, and for progress in reading an answer."""

    def __init__(
        self,
        *args: Any,
        limit: ConnectionLimit,
        client_seconds: float = CLIENT_SECONDS,
        hsts_include_subdomains: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._limit = limit
        self._client_seconds = client_seconds
        self._security_headers = security_headers(hsts_include_subdomains=hsts_include_subdomains)
        self._deadline: asyncio.TimerHandle | None = None
        self._reader_deadline: asyncio.TimerHandle | None = None
        # The request that is answered now, or was last; uvicorn's `cycle` is the last one received.
        self._current: RequestResponseCycle | None = None
        self._refused: Problem | None = None
        self._in_body = False
        self._drains = False
        # Received since the parser last completed something: a head, trailers or chunk extensions without an end.
        self._unfinished_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline for the first head."""
        super().connection_made(transport)
        # uvicorn waits, and the reader's deadline runs, as soon as the kernel takes no more. Not over TLS, which is
        # for development: there, asyncio's transport would count an empty buffer as full.
        if transport.get_extra_info("sslcontext") is None:
            transport.set_write_buffer_limits(high=0)
        self._expect_head()
        self._limit.add(self)

    def data_received(self, data: bytes) -> None:
        """Parse the data, with a deadline and a bound on the size of a head."""
        if self._refused is not None:
            return
        if self._deadline is None and not self._is_under_way():
            self._expect_head()
        self._unfinished_bytes += len(data)
        self._unset_keepalive_if_required()
        try:
            self._parse(memoryview(data))
        except httptools.HttpParserError:
            self._refuse(BadRequest("The request is not well-formed HTTP."))
        if self._unfinished_bytes > MAX_HEAD_BYTES:
            self._refuse(Problem("The header fields are too many or too large.", status=431))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header without the space after its value (RFC 9110 section 5.5); drop a trailer."""
        if not self._in_body:
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        """Start the request."""
        self._expect_nothing()
        self._unfinished_bytes = 0
        self._require_one_meaning()
        if self.parser.should_upgrade():
            return
        if len(self.pipeline) >= MAX_PIPELINED:
            self._refuse(BadRequest("More requests wait on this connection than it may send at once."))
            raise httptools.HttpParserError
        self._in_body = True
        super().on_headers_complete()
        if self._drains:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Pass on a part of the body."""
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that the request is complete."""
        if self.parser.should_upgrade():
            return
        self._in_body = False
        self._unfinished_bytes = 0
        super().on_message_complete()
        self._note_who_waits()

    def on_response_complete(self) -> None:
        """Go on with the next request; after the last one, answer the parser error that followed it."""
        self._writes.flush()
        super().on_response_complete()
        self._note_who_waits()
        if self._refused is not None and not self._is_under_way():
            self._write_refusal(self._refused)

    def pause_writing(self) -> None:
        """Start the deadline for a client that does not read its answer."""
        super().pause_writing()
        self._note_who_waits()
        self._watch_reader()

    def resume_writing(self) -> None:
        """Stop the deadline: the client has read everything."""
        super().resume_writing()
        self._note_who_waits()
        self._forget_reader()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the deadlines."""
        self._limit.remove(self)
        self._expect_nothing()
        self._forget_reader()
        if self._current is not None:
            self._current.disconnected = True  # uvicorn sets it for the last request alone
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End the connection once its request is answered; an idle one waits for one that is on its way."""
        if self._drains or self._is_under_way():
            super().shutdown()
        else:
            self._drains = True
            self.loop.call_later(DRAIN_SECONDS, self.shutdown)

    def cut_off(self) -> None:
        """Close at once and drop what was not sent, in the kernel too, which would keep it for minutes."""
        with suppress(OSError):  # macOS has no options of a connection that its client has closed
            connection = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._current = cycle
        self._writes = JoinedWrites(self.transport, self.loop)
        cycle.transport = self._writes  # type: ignore[assignment]
        super()._start_asgi_task(cycle, app)

    def _parse(self, data: memoryview) -> None:
        """Parse the data, and ignore every `Upgrade` (RFC 9110 section 7.8).

        httptools takes a request with `Upgrade` for one without a body, so its head is parsed again without the field.
        """
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                head = self._head_without_upgrade()
                # The old parser may have closed itself, after `Connection: close`.
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
                self.parser.feed_data(head)
            else:
                return

    def _require_one_meaning(self) -> None:
        """Reject heads that httptools accepts, but another server could read differently (RFC 9112)."""
        version = self.parser.get_http_version()
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        # A host in the target could contradict `Host`.
        is_path = self.url.startswith(b"/") and b"#" not in self.url and self.parser.get_method() != b"CONNECT"
        if not is_path or version not in {"1.0", "1.1"} or (codings and (version, codings) != ("1.1", [b"chunked"])):
            raise httptools.HttpParserError("The head has more than one meaning.")

    def _head_without_upgrade(self) -> bytes:
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        fields = [b"%b: %b\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        return b"".join([b"%b %b HTTP/%b\r\n" % (method, self.url, version), *fields, b"\r\n"])

    def _refuse(self, problem: Problem) -> None:
        """Stop reading, and answer `problem` after the requests that came before it."""
        if self._refused is not None:
            return
        self._refused = problem
        if self.pipeline and self.pipeline[0][0].more_body:
            self.pipeline.popleft()  # The error is in its body.
        if self._current is None or not self._is_under_way():
            self._write_refusal(problem)
        elif self._current.more_body and self._current.response_started:
            self.transport.close()
        elif self._current.more_body:
            self._write_refusal(problem)

    def _write_refusal(self, problem: Problem) -> None:
        if self.transport.is_closing():
            return
        request_id = new_request_id()
        response = problem_response(problem, {"path": "/", "state": {"request_id": request_id}})
        headers = [
            *self.server_state.default_headers,
            *response.raw_headers,
            *self._security_headers,
            (HEADER, request_id.encode()),
            (b"connection", b"close"),
        ]
        lines = [b"%b: %b\r\n" % header for header in headers]
        client = self.client[0] if self.client else None
        _log.warning("request_unreadable", status=problem.status, request_id=request_id, client=client)
        self.transport.write(b"".join([STATUS_LINE[problem.status], *lines, b"\r\n", bytes(response.body)]))
        self.transport.close()

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(self._client_seconds, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _watch_reader(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._reader_deadline = self.loop.call_later(self._client_seconds, self._require_progress, unread)

    def _require_progress(self, before: int) -> None:
        if before - self.transport.get_write_buffer_size() < MIN_READ_BYTES:
            self.cut_off()
        else:
            self._watch_reader()

    def _forget_reader(self) -> None:
        if self._reader_deadline is not None:
            self._reader_deadline.cancel()

    def _is_under_way(self) -> bool:
        return self._current is not None and not self._current.response_complete

    def _note_who_waits(self) -> None:
        unread = self._current is None or self._current.more_body
        self._limit.set_waiting(self, waiting=not self._is_under_way() or unread or self.flow.write_paused)
