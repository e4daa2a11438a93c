"""A server of another origin, for what its pages can do to this service, or with it."""

import html
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

SAME_SITE, CROSS_SITE = "127.0.0.1", "localhost"


class OtherOrigin:
    """A server that shows the page it is given, whatever is asked."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.page = ""

    def posts(self, url: str, fields: dict[str, str], kind: str = "application/x-www-form-urlencoded") -> str:
        """A page that sends a form as soon as it is opened."""
        inputs = "".join(f'<input name="{name}" value="{html.escape(value)}">' for name, value in fields.items())
        form = f'<form method="post" action="{url}" enctype="{kind}">{inputs}</form>'
        return f"{form}<script>document.forms[0].submit()</script>"


@contextmanager
def serving() -> Iterator[OtherOrigin]:
    """Serve it on a free port, under both names."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(f"<!doctype html><title>other</title>{other.page}".encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    # Under both names it is the same address.
    server = ThreadingHTTPServer((SAME_SITE, 0), Handler)
    other = OtherOrigin(server.server_address[1])
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield other
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
