"""A load of HTTP requests, as cheap to make as Python allows: the client shares the cores with what it measures."""

import asyncio
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle, islice
from time import perf_counter

HOST = "127.0.0.1"

_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_MOST_SECONDS = 60
_HEAD_END = b"\r\n\r\n"


@dataclass
class Result:
    """The seconds that each request took, and how often each status was answered."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def p99(self) -> float:
        """Return the time that 99 of 100 requests did not exceed, in seconds."""
        return sorted(self.seconds)[int(len(self.seconds) * 0.99)]


class _Connection(asyncio.Protocol):
    """Sends the request again as soon as it is answered, until it is told to stop."""

    def __init__(self, request: bytes, result: Result, answered: asyncio.Event) -> None:
        self._request = request
        self._result = result
        self._received = b""
        self._begin = 0.0
        self._stopped = False
        self._answered = answered
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # of TCP
        """Begin."""
        self._transport = transport
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's signature
        """End."""
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        """Note a whole answer, and ask again."""
        self._received += data
        head, separator, body = self._received.partition(_HEAD_END)
        length = _LENGTH.search(head)
        if not separator or (length and len(body) < int(length[1])):
            return
        self._result.seconds.append(perf_counter() - self._begin)
        self._result.statuses[int(head[9:12])] += 1
        self._answered.set()
        self._received = b""
        if self._stopped:
            self._transport.abort()
        else:
            self._send()

    def stop(self) -> None:
        """Ask no more; what has been asked is still answered, so that the server has nothing left to do."""
        self._stopped = True

    def _send(self) -> None:
        self._begin = perf_counter()
        self._transport.write(self._request)


async def load(port: int, *requests: bytes, connections: int, seconds: float, before: float = 0) -> Result:
    """Keep as many requests under way as there are connections, each of which has one of the requests, by turns.

    What is answered in the seconds `before` does not count: the first answers of slow requests come late.
    """
    loop, result, answered = asyncio.get_running_loop(), Result(), asyncio.Event()
    made = [
        await loop.create_connection(partial(_Connection, request, result, answered), HOST, port)
        for request in islice(cycle(requests), connections)
    ]
    await asyncio.sleep(before)
    result.seconds.clear()
    result.statuses.clear()
    answered.clear()
    await asyncio.sleep(seconds)
    async with asyncio.timeout(_MOST_SECONDS):
        await answered.wait()  # a machine can be so busy that not one was answered yet
        kept = Result(list(result.seconds), Counter(result.statuses))
        for _, connection in made:
            connection.stop()
        for _, connection in made:
            await connection.ended.wait()
    return kept


def http_request(method: str, target: str, *headers: str, body: bytes = b"") -> bytes:
    """Return the bytes of a request."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {HOST}", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body
