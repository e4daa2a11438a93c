"""What plays the servers of others: an OpenTelemetry collector and Sentry, at one address, which keep what they get."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Receiver(ThreadingHTTPServer):
    """Answers 200 to each POST, and keeps its path, headers and body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.dsn = f"http://publickey@127.0.0.1:{self.server_port}/7"
        self.received: list[tuple[str, dict[str, str], bytes]] = []

    def spans(self) -> list[Span]:
        """Every span that came."""
        requests = [
            ExportTraceServiceRequest.FromString(body) for path, _, body in self.received if path == "/v1/traces"
        ]
        return [
            span
            for each in requests
            for part in each.resource_spans
            for kind in part.scope_spans
            for span in kind.spans
        ]

    def events(self) -> list[dict[str, Any]]:
        """Every event that came in an envelope, which has nothing else in it."""
        found = []
        for path, _, body in self.received:
            if path == "/api/7/envelope/":
                _, head, event = body.splitlines()
                assert json.loads(head)["type"] == "event"
                found.append(json.loads(event))
        return found

    def everything(self) -> str:
        """All that came, as text."""
        return repr(self.received)


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:  # the library's name
        """Keep it."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        self.server.received.append((self.path, dict(self.headers), plain))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One that runs."""
    with Receiver() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
