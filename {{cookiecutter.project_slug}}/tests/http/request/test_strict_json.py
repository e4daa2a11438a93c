"""`app/http/request/strict_json.py`: bodies with one meaning, through the routes that read them."""

import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, Form
from pydantic import BaseModel

from app.access.guard import GuardedRoute
from app.access.policies import Public, policy
from app.core.errors import install_error_handlers
from app.http.request.strict_json import MAX_DEPTH, MAX_FIELDS, MAX_FORM_FIELDS, MAX_ITEMS

pytestmark = pytest.mark.anyio

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


class Body(BaseModel):
    """Takes anything."""

    value: Any = None


class Fields(BaseModel):
    """Takes two texts."""

    a: str = ""
    b: str = ""


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    """An application that says what it read."""
    app = FastAPI(openapi_url=None)
    router = APIRouter(prefix="/api", route_class=GuardedRoute)

    @router.post("/json")
    @policy(Public())
    async def read_json(body: Body) -> Body:
        return body

    @router.post("/form")
    @policy(Public())
    async def read_form(form: Annotated[Fields, Form()]) -> Fields:
        return form

    app.include_router(router)
    install_error_handlers(app)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://service/api") as client:
        yield client


async def post(client: httpx2.AsyncClient, path: str, content: bytes, *content_types: str) -> httpx2.Response:
    """Send bytes as they are."""
    return await client.post(path, content=content, headers=[("Content-Type", value) for value in content_types])


@pytest.mark.parametrize(
    "content_type",
    [
        JSON,
        "application/json; charset=utf-8",
        'Application/JSON;charset="UTF-8"',
        "application/json; charset=utf-8;",
        "application/json;",
        "application/json ;\t; CHARSET=UTF-8 ; ;",
    ],
)
async def test_reads_json(client: httpx2.AsyncClient, content_type: str) -> None:
    """JSON in UTF-8 is read, with numbers and texts as they are."""
    value = [1, -1.5e3, True, None, "é 😀 \\", {"ключ": [9223372036854775807, -9223372036854775808]}]
    content = httpx2.Request("POST", "http://service", json={"value": value}).content
    answer = await post(client, "/json", content, content_type)
    assert answer.json() == {"value": value}


@pytest.mark.asvs("3.5.2", "4.1.1")
@pytest.mark.parametrize(
    "content_types",
    [
        [],
        ["text/plain"],
        [FORM],
        ["multipart/form-data; boundary=x"],
        ["application/problem+json"],
        ["application/jsonx"],
        ["application/json; charset=utf-16"],
        ["application/json; charset=utf-8; charset=utf-7"],
        ["application/json; charset=utf-8; charset=utf-8"],
        ['application/json; charset="utf-8'],
        ["application/json; charset = utf-8"],
        ["application/json, text/plain"],
        [JSON, JSON],
        [JSON, "text/plain"],
        [""],
    ],
)
async def test_takes_json_alone(client: httpx2.AsyncClient, content_types: list[str]) -> None:
    """What a form of another page could send, and what is ambiguous, is 415."""
    answer = await post(client, "/json", b'{"value": 1}', *content_types)
    assert answer.status_code == 415
    assert answer.headers["accept"] == JSON


async def test_takes_no_compressed_body(client: httpx2.AsyncClient) -> None:
    """A compressed body is refused: nothing is unpacked that could be a bomb."""
    headers = {"Content-Type": JSON, "Content-Encoding": "gzip"}
    assert (await client.post("/json", content=b"{}", headers=headers)).status_code == 415


@pytest.mark.asvs("1.4.2", "15.3.7", "1.3.3")
@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b'{"value": 1, "value": 2}', 422),
        (b'{"value": {"a": 1, "\\u0061": 2}}', 422),
        (b'{"value": NaN}', 422),
        (b'{"value": Infinity}', 422),
        (b'{"value": -Infinity}', 422),
        (b'{"value": 1e999}', 422),
        (b'{"value": -1e999}', 422),
        (b'{"value": 9223372036854775808}', 422),
        (b'{"value": -9223372036854775809}', 422),
        (b'{"value": ' + b"9" * 5000 + b"}", 422),
        (b'{"value": 0.' + b"9" * 5000 + b"}", 422),
        (b'{"value": "\\ud800"}', 422),
        (b'{"value": "\\udc00\\ud800"}', 422),
        (b'{"value": ["\\u0000"]}', 422),
        (b'{"value": {"\\u0000": 1}}', 422),
        (b'{"value": "\x00"}', 400),
        (b'{"value": "a\nb"}', 400),
        (b'{"value": "\xff"}', 400),
        (b"\xef\xbb\xbf\xef\xbb\xbf{}", 400),
        ('{"value": 1}'.encode("utf-16"), 400),
        ('{"value": 1}'.encode("utf-16-le"), 400),
        ('{"value": 1}'.encode("utf-32"), 400),
        (b"{'value': 1}", 400),
        (b'{"value": 1,}', 400),
        (b'{"value": 01}', 400),
        (b'{"value": 1} {"value": 2}', 400),
        (b'{"value": 1 /* comment */}', 400),
        (b"{", 400),
        (b" ", 400),
        (b"", 422),
        (b"[]", 422),
        (b"null", 422),
    ],
)
async def test_refuses_what_has_no_single_meaning(client: httpx2.AsyncClient, content: bytes, status: int) -> None:
    """Duplicates, numbers without a value, texts that are none, other encodings and what is no JSON: never a 500."""
    answer = await post(client, "/json", content, JSON)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
async def test_bounds_depth(client: httpx2.AsyncClient, opening: bytes) -> None:
    """As deep as allowed is read, one more is refused, and so is what would exhaust the parser."""
    closing = b"]" if opening == b"[" else b"}"
    # The object that holds the value is the first level.
    for depth, status in ((MAX_DEPTH - 1, 200), (MAX_DEPTH, 422), (100_000, 422)):
        content = b'{"value":' + opening * depth + b"1" + closing * depth + b"}"
        assert (await post(client, "/json", content, JSON)).status_code == status


@pytest.mark.asvs("15.2.2")
async def test_bounds_the_number_of_values(client: httpx2.AsyncClient) -> None:
    """As many values as allowed are read, one more is refused; what stands in a text is none."""
    for count, status in ((MAX_ITEMS, 200), (MAX_ITEMS + 1, 422)):
        for content in (b"[0" + b",0" * count + b"]", b"[" + b"[]," * (count - 2) + b"0]"):
            assert (await post(client, "/json", b'{"value": ' + content + b"}", JSON)).status_code == status
        fields = {str(number): "," for number in range(count - MAX_ITEMS + MAX_FIELDS)}
        assert (await client.post("/json", json={"value": fields})).status_code == status
    texts = [{"a,": ",b", "c,": ",d"}] * (MAX_ITEMS // 2)
    assert (await client.post("/json", json={"value": texts})).status_code == 200
    for text in (",[{" * 10_000, '\\",' * 10_000, '",' * 10_000, "\\" * 10_000):
        assert (await client.post("/json", json={"value": text, ",": 0})).json() == {"value": text}


@pytest.mark.asvs("15.3.7")
@pytest.mark.parametrize(
    "opening", ['"a:"', '"\\\\"', '"\\""', '":"', '"\\u003a"', '"\\\\\\":"', "{}", "[]", '{"a":":"}']
)
async def test_colons_in_a_text_hide_no_duplicate(client: httpx2.AsyncClient, opening: str) -> None:
    """Fields are told from what stands in texts, however it is escaped."""
    once = f'{{"value": [{opening}, {{"a": 1, "b": {opening}}}]}}'
    twice = f'{{"value": [{opening}, {{"a": {opening}, "a": 1}}]}}'
    assert (await post(client, "/json", once.encode(), JSON)).status_code == 200
    assert (await post(client, "/json", twice.encode(), JSON)).status_code == 422


async def test_brackets_in_a_text_are_no_depth(client: httpx2.AsyncClient) -> None:
    """A text may hold as many brackets as it likes, and a list may be long."""
    for content in (b'{"value": "' + b"[{" * 1000 + b'"}', b'{"value": [' + b"[]," * 1000 + b"[]]}"):
        assert (await post(client, "/json", content, JSON)).status_code == 200


@pytest.mark.asvs("15.2.2")
@pytest.mark.parametrize(
    "content",
    [
        b'{"value": "' + b"\\u0041" * 170_000 + b'"}',
        b'{"value": [' + b"1," * 500_000 + b"1]}",
        b"[" * 1_000_000,
        b'{"value": "' + b"\\" * 1_000_000,
        b'{"value": ' + b"9" * 1_000_000 + b"}",
    ],
)
async def test_costs_little(client: httpx2.AsyncClient, content: bytes) -> None:
    """The largest body that is read holds up other requests for a moment only."""
    started = time.perf_counter()
    await post(client, "/json", content, JSON)
    assert time.perf_counter() - started < 1


async def test_a_byte_order_mark_before_json_is_passed_over(client: httpx2.AsyncClient) -> None:
    """RFC 8259 section 8.1: a parser may, and some shells write one."""
    answer = await post(client, "/json", b'\xef\xbb\xbf{"value": "\xef\xbb\xbf"}', JSON)
    assert answer.json() == {"value": "\ufeff"}


@pytest.mark.parametrize("content", [b"a=1&b=2&", b"&a=1&b=2", b"a=1&&b=2", b"&&a=1&b=2&&&"])
async def test_nothing_between_two_ampersands_is_no_field(client: httpx2.AsyncClient, content: bytes) -> None:
    """URL standard section 5.1."""
    assert (await post(client, "/form", content, FORM)).json() == {"a": "1", "b": "2"}


async def test_reads_forms(client: httpx2.AsyncClient) -> None:
    """A URL-encoded form is read: plus is a space, escapes are UTF-8."""
    answer = await post(client, "/form", b"a=x+y%26&b=caf%C3%A9%3D", FORM)
    assert answer.json() == {"a": "x y&", "b": "café="}
    assert (await post(client, "/form", b"", FORM)).json() == {"a": "", "b": ""}


@pytest.mark.asvs("3.5.2")
@pytest.mark.parametrize(
    "content_type", [JSON, "text/plain", "multipart/form-data; boundary=x", f"{FORM}; charset=latin-1"]
)
async def test_takes_forms_alone(client: httpx2.AsyncClient, content_type: str) -> None:
    """Other types, multipart too, are 415."""
    assert (await post(client, "/form", b"a=1", content_type)).status_code == 415


@pytest.mark.asvs("15.3.7", "1.3.3")
@pytest.mark.parametrize(
    "content",
    [
        b"a=1&a=2",
        b"a=1&%61=2",
        b"a",
        b"a=%",
        b"a=%zz",
        b"a=%ff",
        b"a=%00",
        b"%00=1",
        b"a=\xff",
        b"a=\x00",
        b"&".join(b"f%d=1" % number for number in range(MAX_FORM_FIELDS + 1)),
    ],
)
async def test_refuses_ambiguous_forms(client: httpx2.AsyncClient, content: bytes) -> None:
    """A field there twice, without a value, badly encoded, with a NUL, or one too many, is 400."""
    assert (await post(client, "/form", content, FORM)).status_code == 400
