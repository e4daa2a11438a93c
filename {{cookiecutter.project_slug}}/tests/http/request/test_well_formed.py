"""`app/http/request/well_formed.py`: requests with one meaning, and of bounded size."""

import pytest

from app.http.request.base import ChecksMiddleware
from app.http.request.well_formed import (
    MAX_HEADER_BYTES,
    MAX_HEADER_MEMBERS,
    MAX_HEADERS,
    MAX_QUERY_PARAMETERS,
    MAX_TARGET_BYTES,
    require_well_formed,
)
from tests.support.http.asgi import Headers, Recorder, call, http_scope

pytestmark = pytest.mark.anyio


async def status(path: bytes = b"/things", query: bytes = b"", headers: Headers = ()) -> int:
    """The status of the answer; the application answers 200."""
    recorder = Recorder()
    scope = http_scope(raw_path=path, query_string=query, headers=headers)
    answer = await call(ChecksMiddleware(recorder, checks=[require_well_formed]), scope)
    assert recorder.called is (answer.status == 200)
    return answer.status


@pytest.mark.asvs("1.1.1")
@pytest.mark.parametrize(
    "part",
    [b"plain", b"caf%C3%A9", b"a%20b", b"%252e%252e", b"%2e%2e", b"%f0%9f%98%80", b"a+b", b"100%25", b"~.-_!$'()*,;:@"],
)
async def test_lets_ordinary_targets_pass(part: bytes) -> None:
    """Encoded text, encoded percent signs and the characters of RFC 3986 are fine."""
    assert await status(path=b"/" + part) == 200
    assert await status(query=b"q=" + part) == 200


@pytest.mark.asvs("1.1.1", "1.3.3", "16.4.1")
@pytest.mark.parametrize(
    "part",
    [
        b"%",
        b"%2",
        b"%zz",
        b"%u0041",
        b"%00",
        b"%0d%0aSet-Cookie:x=1",
        b"%0a",
        b"%1b[31m",
        b"%7f",
        b"%c2%85",
        b"%e2%80%a8",
        b"%ff",
        b"%c3",
        b"%ed%a0%80",
        b"%c0%ae",
        b"caf\xc3\xa9",
        b"\x80",
    ],
)
async def test_refuses_malformed_targets(part: bytes) -> None:
    """Bad escapes, control characters, line breaks and what is no UTF-8 are refused in path and query."""
    assert await status(path=b"/" + part) == 400
    assert await status(query=b"q=" + part) == 400
    assert await status(query=part + b"=1") == 400


@pytest.mark.asvs("15.3.7")
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (b"a=1&b=2", 200),
        (b"a=1&A=2", 200),
        (b"a=1&a=2", 400),
        (b"a=1&%61=2", 400),
        (b"a+b=1&a%20b=2", 400),
        (b"a&a", 400),
        (b"a=1;a=2", 200),
    ],
)
async def test_a_parameter_is_there_once(query: bytes, expected: int) -> None:
    """Two values of one name, however it is written, are ambiguous."""
    assert await status(query=query) == expected


@pytest.mark.asvs("14.2.1")
@pytest.mark.parametrize(
    "query", [b"access_token=x", b"Access_Token=x", b"%61ccess_token=x", b"a=1&token=x", b"password=x", b"api_key"]
)
async def test_no_credentials_in_the_query(query: bytes) -> None:
    """A credential in a query would end up in logs and histories."""
    assert await status(query=query) == 400


@pytest.mark.asvs("4.2.1")
async def test_one_authorization_header() -> None:
    """Two credentials are an attempt to be somebody to one reader and somebody else to another."""
    one = ("authorization", "Bearer a")
    assert await status(headers=[one]) == 200
    assert await status(headers=[one, one]) == 400


async def test_bounds() -> None:
    """The target and the headers are bounded in size, the headers in number; each bound is allowed itself."""
    assert await status(path=b"/" + b"a" * (MAX_TARGET_BYTES - 1)) == 200
    assert await status(path=b"/" + b"a" * MAX_TARGET_BYTES) == 414
    assert await status(path=b"/", query=b"a" * MAX_TARGET_BYTES) == 414
    assert await status(headers=[("a", "b")] * MAX_HEADERS) == 200
    assert await status(headers=[("a", "b")] * (MAX_HEADERS + 1)) == 431
    assert await status(headers=[("a", "b" * (MAX_HEADER_BYTES - 1))]) == 200
    assert await status(headers=[("a", "b" * MAX_HEADER_BYTES)]) == 431


@pytest.mark.asvs("15.2.2")
async def test_lists_are_bounded() -> None:
    """A query has so many parameters, a head so many members of lists and cookies, in one field or in several."""
    query = b"&".join(b"p%d=1" % number for number in range(MAX_QUERY_PARAMETERS))
    assert await status(query=query) == 200
    assert await status(query=query + b"&q") == 400
    for separator in ",;":
        half = [("a", separator * (MAX_HEADER_MEMBERS // 2))] * 2
        assert await status(headers=half) == 200
        assert await status(headers=[*half, ("b", separator)]) == 431


async def test_nothing_between_two_ampersands_is_no_parameter() -> None:
    """The URL standard passes over it: at the end, at the begin, and between (section 5.1)."""
    assert await status(query=b"&a=1&&b=2&") == 200
    assert await status(query=b"&" * 1000) == 200
    assert await status(query=b"a=1&&a=2&") == 400
