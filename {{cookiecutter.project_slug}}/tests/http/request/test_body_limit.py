"""`app/http/request/body_limit.py`: how large a body may be, and how slow."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.core.errors import Problem
from app.http.middleware.last_resort import LastResortMiddleware
from app.http.request.body_limit import BodyLimitMiddleware, limit_body
from tests.support.http.asgi import Headers, Recorder, ResponseBody, call, http_scope

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("5.2.1")]

CHUNKED = [("transfer-encoding", "chunked")]


async def sent(*parts: bytes, headers: Headers = ()) -> tuple[ResponseBody, Recorder]:
    """Send a body to an application that may read ten bytes."""
    recorder = Recorder()
    app = LastResortMiddleware(BodyLimitMiddleware(recorder, max_bytes=10))
    return await call(app, http_scope("POST", headers=headers), *parts), recorder


async def test_lets_the_largest_pass() -> None:
    """A body of exactly the limit is read, in one part or in many, with a length or without."""
    for headers in ([("content-length", "10")], CHUNKED, []):
        answer, recorder = await sent(b"12345", b"67890", headers=headers)
        assert (answer.status, recorder.body) == (200, b"1234567890")


async def test_refuses_a_length_before_reading() -> None:
    """A body that says it is too large is refused although nothing of it came."""
    answer, recorder = await sent(headers=[("content-length", "11")])
    assert (answer.status, recorder.called) == (413, False)


@pytest.mark.parametrize("headers", [CHUNKED, [], [("content-length", "3")]])
async def test_refuses_what_turns_out_too_large(headers: Headers) -> None:
    """Without a length, or with a wrong one, reading ends as soon as the limit is passed."""
    answer, recorder = await sent(b"12345", b"678901", b"never read", headers=headers)
    assert (answer.status, recorder.body) == (413, b"12345")


async def test_a_limit_can_be_narrowed() -> None:
    """Whoever handles the request may say that less is read: by the length that is given, and by what comes."""

    async def read(scope: Scope, receive: Receive, send: Send) -> None:
        limit_body(scope, 4)
        await Recorder()(scope, receive, send)

    app = LastResortMiddleware(BodyLimitMiddleware(read, max_bytes=10))
    for headers in ([("content-length", "5")], CHUNKED):
        assert (await call(app, http_scope("POST", headers=headers), b"12", b"345")).status == 413
        assert (await call(app, http_scope("POST", headers=[]), b"12", b"34")).status == 200


@pytest.mark.asvs("4.2.1")
@pytest.mark.parametrize("length", ["-1", "+1", "1e3", "0x1", " 1", "", "1,1", "٣".encode(), "9" * 5000])
async def test_refuses_a_length_that_is_no_number(length: str | bytes) -> None:
    """A length that two readers could read in two ways is no length."""
    answer, recorder = await sent(headers=[("content-length", length)])
    assert (answer.status, recorder.called) == (400, False)


async def test_refuses_two_lengths() -> None:
    """Not even the same length twice."""
    answer, _ = await sent(headers=[("content-length", "1"), ("content-length", "1")])
    assert answer.status == 400


async def test_has_a_deadline() -> None:
    """A body that dawdles ends in 408, and the connection with it."""
    parts = iter([b"a", b"b"])

    async def receive() -> Message:
        part = next(parts, None)
        if part is None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": part, "more_body": True}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    app = LastResortMiddleware(BodyLimitMiddleware(Recorder(), seconds=0.05))
    async with asyncio.timeout(2):
        await app(http_scope("POST", headers=CHUNKED), receive, send)
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_the_deadline_is_for_the_body_alone() -> None:
    """Once the body is complete, waiting for the client to go away takes as long as it takes."""
    body: Message = {"type": "http.request", "body": b"x", "more_body": False}
    messages: Iterator[tuple[float, Message]] = iter([(0, body), (0.4, {"type": "http.disconnect"})])

    async def receive() -> Message:
        seconds, message = next(messages)
        await asyncio.sleep(seconds)
        return message

    seen: list[str] = []

    async def app(_: Scope, receive: Receive, __: Send) -> None:
        seen.extend([(await receive())["type"], (await receive())["type"]])

    async def send(_: Message) -> None:
        raise AssertionError

    await BodyLimitMiddleware(app, seconds=0.3)(http_scope("POST"), receive, send)
    assert seen == ["http.request", "http.disconnect"]


async def test_what_is_raised() -> None:
    """An application that reads by itself sees a `Problem`, which every error handler knows."""

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(Problem) as refused:
        await BodyLimitMiddleware(Recorder(), seconds=0.01)(http_scope("POST"), receive, None)  # type: ignore[arg-type]
    assert refused.value.status == 408
