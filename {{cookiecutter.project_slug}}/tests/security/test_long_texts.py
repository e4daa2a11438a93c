"""Every text that the API reads, in lengths and scripts that a column may not hold: refused or kept, never a 500."""

import json
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode
from uuid import uuid4

import httpx2
import pytest

from app.access.roles import Role
from tests.support.api.long_texts import INTERNAL, awkward_addresses, awkward_texts
from tests.support.api.samples import SAMPLES
from tests.support.service import Person, Service, Tokens

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("1.1.1", "2.2.1", "16.5.1")]

JSON, FORM = "application/json", "application/x-www-form-urlencoded"
PASSWORD = "five wet stones roll"
# What makes the rest of a body right, so that the text gets as far as it can. A new field needs a line.
RIGHT: Mapping[str, Any] = {
    **{field: value for samples in SAMPLES for body in samples.bodies.values() for field, value in body.items()},
    "challenge": "unknown",
    "client_id": "first-party",
    "current_password": PASSWORD,
    "disabled": False,
    "display_name": "Name",
    "grant_type": "refresh_token",
    "grants": ["authorization_code"],
    "kind": "totp",
    "name": "Name",
    "new_password": "nine blue kites land",
    "password": PASSWORD,
    "redirect_uris": ["https://app.example/"],
    "roles": ["member"],
    "scope": "account:read",
    "token": "unknown",
}
# Made new each time, or left out: the text stands alone there.
NEW = {"email", "new_email"}
LEFT_OUT = {
    *(field for samples in SAMPLES for field in samples.left_out),
    "client_secret",
    "code",
    "code_verifier",
    "credential",
    "enrolment",
    "confidential",
    "first_party",
    "muted_alerts",
    "redirect_uri",
    "refresh_token",
    "resource",
    "token_type_hint",
    "username",
}


class Text(NamedTuple):
    """A text that an operation reads: `field` of a body of the `kind`, or a parameter (`query`, `path`)."""

    method: str
    path: str
    kind: str
    field: str
    fields: tuple[str, ...] = ()


def texts_of(document: dict[str, Any]) -> Iterator[Text]:
    """Every text of every operation."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] in {"query", "path"}:
                    yield Text(method, path, parameter["in"], parameter["name"])
            for kind, content in operation.get("requestBody", {}).get("content", {}).items():
                properties = _resolved(document, content["schema"])["properties"]
                texts = [
                    name for name, field in properties.items() if "string" in json.dumps(_resolved(document, field))
                ]
                required = _resolved(document, content["schema"]).get("required", ())
                yield from (Text(method, path, kind, name, (*texts, *required)) for name in texts)


def _resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    found = schema.get("$ref")
    return document["components"]["schemas"][found.rpartition("/")[2]] if found else schema


async def send(service: Service, text: Text, value: str, actor: Person, tokens: Tokens) -> httpx2.Response:
    """Send the text in its place."""
    path, headers, content = text.path, dict(tokens.bearer), b""
    if text.kind == "path":
        path = path.replace(f"{{{text.field}}}", quote(value, safe="", errors="surrogatepass"))
    path = path.replace("{user_id}", str(actor.id))
    path = path if "{" not in path else path[: path.index("{")] + str(uuid4()) + path[path.index("}") + 1 :]
    if text.kind == "query":
        path += "?" + urlencode({text.field: value}, errors="surrogatepass")
    elif text.kind in {JSON, FORM}:
        assert set(text.fields) <= RIGHT.keys() | NEW | LEFT_OUT, (
            "give the new field a value in tests/features/NAME/samples.py"
        )
        body = {name: RIGHT[name] for name in text.fields if name in RIGHT}
        body |= {name: f"{uuid4()}@people.example" for name in NEW.intersection(text.fields)}
        body[text.field] = [value] if isinstance(RIGHT.get(text.field), list) else value
        headers["Content-Type"] = text.kind
        encoded = json.dumps(body) if text.kind == JSON else urlencode(body, doseq=True, errors="surrogatepass")
        content = encoded.encode()
        if path.startswith("/oauth/"):
            del headers["Authorization"]
    return await service.client.request(text.method, path, headers=headers, content=content)


async def test_no_text_is_too_much_for_its_column(service: Service) -> None:
    """Each text of each operation of the OpenAPI document, one after the other, with the rest of the body right."""
    document = service.app.openapi()
    texts = list(texts_of(document))
    found = {(text.field, text.kind) for text in texts}
    assert {("email", JSON), ("name", JSON), ("scope", FORM), ("q", "query")} <= found
    failed = []
    for text in texts:
        values = awkward_addresses() if text.field in NEW | {"username"} else awkward_texts()
        actor, tokens = await _administrator(service)
        for value in values:
            answer = await send(service, text, value, actor, tokens)
            if answer.status_code >= INTERNAL:
                failed.append((text[:4], answer.status_code, len(value), value[:40]))
            if answer.is_success and text.method != "get":
                actor, tokens = await _administrator(service)
    assert failed == []


async def test_no_client_id_is_too_much(service: Service) -> None:
    """By HTTP Basic, whose parts are form-encoded once more: encoded so, and as plain bytes."""
    for value in awkward_texts():
        plain = value.encode(errors="surrogatepass")
        for name in (plain, quote(plain).encode()):
            header = {"Authorization": f"Basic {b64encode(name + b':secret').decode()}"}
            for endpoint in ("token", "revoke", "introspect"):
                form = {"grant_type": "client_credentials", "token": "unknown"}
                answer = await service.client.post(f"/oauth/{endpoint}", data=form, headers=header)
                assert answer.status_code == 401, (endpoint, value[:40])


async def test_no_user_agent_is_too_much_for_its_column(service: Service) -> None:
    """Of a sign-in that succeeds, which keeps it with its session, and of one that fails, on record."""
    person = await service.person()
    for length in (270, 300, 301, 4000):
        for character in ("a", "\xe9", "\xff"):
            headers = {"User-Agent": (character * length).encode("latin-1")}
            await service.sign_in(person, headers=headers)
            assert (await service.try_sign_in(person.email, "wrong", headers=headers)).status_code == 401


async def _administrator(service: Service) -> tuple[Person, Tokens]:
    """Somebody who may call everything, and is not the last one."""
    person = await service.person(Role.ADMIN, password=PASSWORD)
    return person, await service.sign_in(person)
