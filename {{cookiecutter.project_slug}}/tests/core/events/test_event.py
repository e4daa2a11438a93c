"""Security events: each is listed, each is used, and each is logged when it happens."""

import json
from difflib import ndiff
from itertools import dropwhile
from pathlib import Path

import pytest

from app.access.roles import Role
from app.assembly import FEATURES
from app.core.database.migrations import MIGRATIONS
from tests.conftest import StartService
from tests.support.access import EVENTS, documented_events
from tests.support.api.account_mail import Post
from tests.support.records.mail import Mailbox
from tests.support.service import Service

pytestmark = pytest.mark.anyio

PROJECT = MIGRATIONS.parent
DOCS = PROJECT / "docs"
LOGGING = DOCS / "logging.md"
HEAD = "| event | when | fields | `user_id` is | feature |\n|---|---|---|---|---|\n"
HINT = "If that is meant: uv run pytest --update tests/core/events/test_event.py"


@pytest.mark.asvs("16.1.1")
async def test_the_lists_in_the_docs_are_those_in_the_code(request: pytest.FixtureRequest) -> None:
    """No event that nobody knows of, no promise that nothing keeps; `pytest --update` corrects the tables.

    The events of a feature stand in `docs/logging.md` if it has some there, and in its own `docs/features/NAME.md`
    otherwise, which is begun for a new one. What happened and which fields there are is written there by hand.
    """
    known, common, lines = documented_events(), LOGGING.read_text(encoding="utf-8"), dict[Path, list[str]]()
    for feature in FEATURES:
        own = DOCS / "features" / f"{feature.name.replace('_', '-')}.md"
        page = LOGGING if f"| {feature.name} |\n" in common else own
        for event in (event for events in feature.events for event in events):
            when, fields = known.get(str(event), ("", ""))
            line = f"| `{event}` | {when} | {fields} | {event.user_is.value} | {feature.name} |\n"
            lines.setdefault(page, []).append(line)
    differences: list[str] = []
    for path, expected in lines.items():
        there = path.read_text(encoding="utf-8") if path.exists() else f"# {path.stem.capitalize()}\n"
        head, _, rest = (there if HEAD in there else f"{there}\n{HEAD}").partition(HEAD)
        behind = dropwhile(lambda line: line.startswith("|"), rest.splitlines(keepends=True))
        wanted = "".join((head, HEAD, *sorted(expected), *behind))
        if request.config.getoption("--update"):
            path.write_text(wanted, encoding="utf-8")
        elif there != wanted:
            place = path.relative_to(PROJECT).as_posix()
            lines_of_both = ndiff(there.splitlines(), wanted.splitlines())
            differences += [f"{place} {line}" for line in lines_of_both if line[0] in "+-"]
    assert not differences, "\n".join(["", *differences, HINT])
    assert [event for event, (when, _) in documented_events().items() if not when] == [], "Write when they happen."


async def test_every_event_is_used() -> None:
    """A name that no code logs is removed."""
    code = "".join(path.read_text(encoding="utf-8") for path in (PROJECT / "app").rglob("*.py"))
    assert [event.name for event in EVENTS if f"{type(event).__name__}.{event.name}" not in code] == []


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


@pytest.mark.asvs("16.2.1", "16.2.5", "16.3.1")
async def test_what_comes_by_mail_is_on_record(
    start: StartService, mailbox: Mailbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each step of the life of an account is one event with request and address; no mailbox and no token is in any."""
    async with start(rate_limit_signin="12/minute") as service:
        post = Post(service, mailbox)
        person, tokens = await service.signed_in()
        _, admin = await service.signed_in(Role.ADMIN)
        await post.register("ada@people.example")
        await post.register(person.email)
        verification = await post.token("ada@people.example")
        await post.verify(verification)
        await post.verify(verification)
        await post.forgot("nobody@people.example")
        change = {"new_email": "new@people.example", "current_password": person.password}
        await post("/users/me/email", change, headers=tokens.bearer)
        await post("/users/me/email", change | {"current_password": "wrong"}, headers=tokens.bearer)
        await post("/accounts/email/confirm", {"token": await post.token("new@people.example")})
        await post.forgot("new@people.example")
        reset = await post.token("new@people.example", 2)
        await post.reset(reset)
        await post("/invitations", {"email": "bob@people.example"}, headers=admin.bearer)
        for _ in range(6):
            await post("/accounts/password/forgot", {"email": "eve@people.example"})
    output = capsys.readouterr().out
    lines = [json.loads(line) for line in output.splitlines()]
    events = [line for line in lines if line["logger"] == "security"]
    assert {(line["event"], line["outcome"]) for line in events} >= {
        ("account_created", "success"),
        ("account_invited", "success"),
        ("account_token_refused", "denied"),
        ("email_change_requested", "failure"),
        ("email_change_requested", "success"),
        ("email_changed", "success"),
        ("email_verified", "success"),
        ("mail_limited", "denied"),
        ("password_reset", "success"),
        ("password_reset_requested", "failure"),
        ("password_reset_requested", "success"),
        ("registration_repeated", "denied"),
    }
    for line in events:
        if "request_id" not in line:
            assert line["event"] == "account_created"  # by the test itself
    for canary in ("people.example", verification[4:], reset[4:], person.password):
        assert canary not in output
