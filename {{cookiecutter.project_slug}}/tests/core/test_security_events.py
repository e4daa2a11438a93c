"""Security events: each is listed, each is used, and each is logged when it happens."""

import json
import re

import pytest

from app.access.roles import Role
from app.core.migrations import MIGRATIONS
from app.core.security_events import SecurityEvent
from tests.support.service import Service

pytestmark = pytest.mark.anyio

PROJECT = MIGRATIONS.parent


@pytest.mark.asvs("16.1.1")
async def test_the_list_in_the_docs_is_the_list_in_the_code() -> None:
    """Both ways: no event that nobody knows of, no promise that nothing keeps."""
    text = (PROJECT / "docs" / "logging.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == set(SecurityEvent)


async def test_every_event_is_used() -> None:
    """A name that no code logs is removed."""
    code = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "app").rglob("*.py"))
    assert [event.name for event in SecurityEvent if f"SecurityEvent.{event.name}" not in code] == []


@pytest.mark.asvs("16.2.1", "16.3.1", "16.3.2")
async def test_what_people_do_is_on_record(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """Each step of a life of sign-ins is one event with who, outcome, request and address; no token is in any line."""
    person, tokens = await service.signed_in()
    admin_person, admin = await service.signed_in(Role.ADMIN)
    client, path = service.client, f"/api/v1/users/{person.id}"
    await service.try_sign_in(person.email, "wrong password canary")
    await client.get("/api/v1/users", headers=tokens.bearer)
    await client.get("/api/v1/users")
    await service.refresh(tokens.refresh)
    await service.refresh(tokens.refresh)
    await client.put(f"{path}/roles", json={"roles": ["auditor"]}, headers=admin.bearer)
    await client.patch(path, json={"disabled": True}, headers=admin.bearer)
    await client.patch(path, json={"disabled": False}, headers=admin.bearer)
    await client.delete(path, headers=admin.bearer)
    other = await service.sign_in(admin_person)
    await client.post("/oauth/revoke", data={"token": other.refresh}, headers=admin.bearer)
    session = (await client.get("/api/v1/sessions", headers=admin.bearer)).json()["items"][0]["id"]
    await client.delete(f"/api/v1/sessions/{session}", headers=admin.bearer)
    output = capsys.readouterr().out
    lines = [json.loads(line) for line in output.splitlines()]
    events = [line for line in lines if line["logger"] == "security"]
    assert {line["event"] for line in events} >= {
        "signin_succeeded",
        "signin_failed",
        "access_denied",
        "unauthenticated",
        "token_refreshed",
        "token_reused",
        "session_ended",
        "roles_changed",
        "account_disabled",
        "account_enabled",
        "account_deleted",
        "token_revoked",
        "signed_out",
    }
    for line in events:
        assert line["outcome"] in {"success", "failure", "denied"}
        assert line["timestamp"].endswith("Z")
        if line["event"] != "account_created":
            assert len(line["request_id"]) == 32
            assert line["client"] == "127.0.0.1"
    for canary in (
        tokens.access,
        tokens.refresh,
        admin.access,
        admin.refresh,
        person.password,
        "wrong password canary",
    ):
        assert canary not in output
