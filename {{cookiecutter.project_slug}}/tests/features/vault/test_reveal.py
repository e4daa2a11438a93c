"""Revealing: for the owner, with the permission, a while after signing in, and on record."""

import json
from datetime import timedelta

import pytest
import time_machine

from app.core.clock import utc_now
from tests.features.vault.steps import MASK, PATH, base64, canary, keep, kept, reveal
from tests.support.service import Service, Tokens, tokens_of

pytestmark = pytest.mark.anyio


async def test_gives_both_values_as_they_came(service: Service) -> None:
    """And null for one that is not set; no cache keeps the answer."""
    _, tokens = await service.signed_in()
    text, data = " line\r\n\t🚀 \u202e ", base64(bytes(range(256)))
    both = await reveal(service, tokens, await kept(service, tokens, secret_string=text, secret_bytes=data))
    assert both.json() == {"secret_string": text, "secret_bytes": data}
    assert both.headers["Cache-Control"] == "no-store"
    one = await reveal(service, tokens, await kept(service, tokens, secret_string=None, secret_bytes=data))
    assert one.json() == {"secret_string": None, "secret_bytes": data}


async def test_the_document_says_that_values_are_written_and_revealed(service: Service) -> None:
    """`writeOnly` in what a client sends and in no answer, or generated clients would drop what is revealed."""
    schemas = (await service.client.get("/openapi.json")).json()["components"]["schemas"]
    for field in ("secret_string", "secret_bytes"):
        for name, write_only in (("SecretCreate", True), ("SecretUpdate", True), ("RevealedSecret", False)):
            assert ("writeOnly" in str(schemas[name]["properties"][field])) is write_only
    assert schemas["RevealedSecret"]["properties"]["secret_bytes"]["anyOf"][0]["contentEncoding"] == "base64"


@pytest.mark.asvs("7.5.3")
async def test_needs_a_recent_sign_in_and_a_refresh_is_none(service: Service) -> None:
    """After 15 minutes the tokens read on, but reveal nothing until their owner signs in again."""
    begin = utc_now()
    person, tokens = await service.signed_in()
    path = await kept(service, tokens)
    with time_machine.travel(begin + timedelta(minutes=9), tick=False):
        assert (await reveal(service, tokens, path)).status_code == 200
    with time_machine.travel(begin + timedelta(minutes=16), tick=False):
        tokens = tokens_of(await service.refresh(tokens.refresh))
        assert (await service.client.get(path, headers=tokens.bearer)).status_code == 200
        answer = await reveal(service, tokens, path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == ('Bearer error="insufficient_user_authentication", max_age=900')
        assert (await reveal(service, await service.sign_in(person), path)).status_code == 200


@pytest.mark.asvs("8.2.1")
@pytest.mark.parametrize(
    ("scope", "allowed"),
    [("secrets:read", {"GET"}), ("secrets:write", {"CREATE", "PATCH"}), ("secrets:reveal", {"REVEAL"})],
)
async def test_each_permission_allows_its_own(service: Service, scope: str, allowed: set[str]) -> None:
    """A token that is narrowed to one of the three can do nothing of the other two."""
    _, tokens = await service.signed_in()
    path = await kept(service, tokens)
    narrowed = tokens_of(await service.refresh(tokens.refresh, scope=scope))
    answers = {
        "GET": await service.client.get(path, headers=narrowed.bearer),
        "CREATE": await keep(service, narrowed),
        "PATCH": await service.client.patch(path, json={"name": "x"}, headers=narrowed.bearer),
        "REVEAL": await reveal(service, narrowed, path),
    }
    assert {name for name, answer in answers.items() if answer.is_success} == allowed
    assert {answer.status_code for name, answer in answers.items() if name not in allowed} == {403}


@pytest.mark.asvs("16.2.1", "16.3.3")
async def test_everything_is_on_record_by_ids_alone(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """One event for each step, with who and which; nothing for a step that was refused."""
    person, tokens = await service.signed_in()
    capsys.readouterr()
    path = await kept(service, tokens)
    await service.client.patch(path, json={}, headers=tokens.bearer)
    await service.client.patch(path, json={"secret_string": None}, headers=tokens.bearer)
    await service.client.patch(path, json={"name": "another name"}, headers=tokens.bearer)
    await reveal(service, tokens, path)
    await service.client.delete(path, headers=tokens.bearer)
    await reveal(service, tokens, path)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    events = [line for line in lines if line["logger"] == "security"]
    assert [line["event"] for line in events] == [
        "secret_created",
        "secret_changed",
        "secret_revealed",
        "secret_deleted",
    ]
    for line in events:
        assert line["outcome"] == "success"
        assert (line["user_id"], line["target_id"]) == (str(person.id), path.rsplit("/", 1)[1])
        assert line["target_type"] == "secret"
        assert set(line) - {"timestamp", "level", "event", "logger", "outcome", "request_id", "client"} == {
            "user_id",
            "target_type",
            "target_id",
        }


async def everything_but_reveal(service: Service, tokens: Tokens, name: str, text: str, data: str) -> list[str]:
    """Every answer that a client can get with the values in its requests, but for the one that reveals."""
    client, bearer = service.client, tokens.bearer
    body = {"name": name, "secret_string": text, "secret_bytes": data}
    path = await kept(service, tokens, **body)
    attempts = [
        await client.patch(path, json={"secret_string": text, "secret_bytes": data}, headers=bearer),
        await client.get(path, headers=bearer),
        await client.get(PATH, headers=bearer),
        await client.post(PATH, json={"name": "\n", "secret_string": text, "secret_bytes": data}, headers=bearer),
        await client.post(PATH, json=body | {"secret_bytes": text}, headers=bearer),
        await client.post(PATH, json=body | {"secret_string": [text]}, headers=bearer),
        await client.post(PATH, json=body | {text: data}, headers=bearer),
        await client.post(PATH, json=[body], headers=bearer),
        await client.post(PATH, content=json.dumps(body)[:-1], headers=bearer),
        await client.post(PATH, data=body, headers=bearer),
        await client.put(path, json=body, headers=bearer),
        await client.post(PATH, json=body),
        await client.delete(path, headers=bearer),
    ]
    assert [answer.status_code for answer in attempts] == [200, 200, 200, *[422] * 5, 415, 415, 405, 401, 204]
    return [f"{answer.headers} {answer.text}" for answer in attempts]


@pytest.mark.asvs("14.2.4", "16.2.5")
async def test_no_answer_and_no_log_line_holds_a_value(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the request and however it fails, revealing included; a name is in answers to its owner alone."""
    _, tokens = await service.signed_in()
    name, text, data = canary(), canary(), base64(canary().encode())
    answers = await everything_but_reveal(service, tokens, name, text, data)
    assert not [answer for answer in answers if text in answer or data in answer]
    path = await kept(service, tokens, name=name, secret_string=text, secret_bytes=data)
    assert (await reveal(service, tokens, path)).json() == {"secret_string": text, "secret_bytes": data}
    output = "".join(capsys.readouterr())
    assert "secret_revealed" in output
    assert not [value for value in (name, text, data) if value in output]


async def test_the_copy_of_my_data_reveals_nothing(service: Service) -> None:
    """It names each secret, and masks what is in it."""
    _, tokens = await service.signed_in()
    value = canary()
    await kept(service, tokens, name="the name", secret_string=value)
    answer = await service.client.get("/api/v1/users/me/export", headers=tokens.bearer)
    assert [(row["name"], row["secret_string"]) for row in answer.json()["secrets"]] == [("the name", MASK)]
    assert value not in answer.text
