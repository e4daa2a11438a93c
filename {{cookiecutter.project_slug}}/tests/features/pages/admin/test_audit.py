"""The audit trail as a page and as a file."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from markupsafe import escape
from sqlalchemy import Engine, event

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.features.audit.service import AuditTrail, Filters
from app.features.audit.trail.archive import BATCH
from tests.conftest import StartService
from tests.support.access import EVENTS
from tests.support.api.oauth import machine_token, register_machine
from tests.support.pages.browser import Browser, shows_again, text_of, with_browser
from tests.support.records.trail import stored
from tests.support.service import Service

pytestmark = pytest.mark.anyio

PATH = "/admin/audit"
EXPORT = "/admin/audit/export"


def table(answer: httpx2.Response) -> list[dict[str, Any]]:
    """The lines of a file, as a program reads them."""
    assert answer.status_code == 200
    return [json.loads(line) for line in answer.content.split(b"\n")[:-1]]


def shown(answer: httpx2.Response) -> list[str]:
    """The events of the page, newest first."""
    assert answer.status_code == 200
    return re.findall(r'<td data-action="([a-z_]+)"', answer.text)


async def some_events(service: Service) -> tuple[str, Browser]:
    """Somebody who has signed in and out, and an auditor's browser."""
    person, browser = await with_browser(service)
    await browser.post("/logout")
    await service.try_sign_in(person.email, "a wrong password")
    _, auditor = await with_browser(service, Role.AUDITOR)
    return str(person.id), auditor


async def test_filters(service: Service) -> None:
    """By who, to whom, what and when, alone and together; what was asked for stays in the form."""
    person, auditor = await some_events(service)
    everything = shown(await auditor.get(PATH))
    assert everything[0] == "signin_succeeded"
    assert set(shown(await auditor.get(PATH, params={"actor": person}))) == {"signin_succeeded", "signed_out"}
    answer = await auditor.get(PATH, params={"actor": person, "action": "signed_out", "since": "", "until": ""})
    assert shown(answer) == ["signed_out"]
    assert f'value="{person}"' in answer.text
    assert '<option value="signed_out" selected>Signed out</option>' in answer.text
    assert shown(await auditor.get(PATH, params={"target": person, "action": "signin_failed"})) == ["signin_failed"]
    assert shown(await auditor.get(PATH, params={"since": "2020-01-01T00:00"})) == everything
    assert shown(await auditor.get(PATH, params={"since": "2020-01-01", "until": "2020-01-02T10:00:30"})) == []
    assert "No event was found." in text_of(await auditor.get(PATH, params={"until": "2020-01-01T00:00"}))


async def test_counts_and_says_what_is_filtered(service: Service) -> None:
    """The filter is closed, says what is in use, and is one link away from all; a wrong value opens it."""
    person, auditor = await some_events(service)
    everything = await auditor.get(PATH)
    assert f"{len(shown(everything))} events, newest first" in text_of(everything)
    assert "Show all" not in text_of(everything)
    query = {"actor": person, "action": "signed_out", "since": "2020-01-01T00:00"}
    answer = await auditor.get(PATH, params=query)
    assert '<details class="filter">' in answer.text
    assert re.search(r"Filter: by \S+@people.example , event Signed out , from 2020-01-01 00:00", text_of(answer))
    assert "1 event, newest first · Show all" in text_of(answer)
    wrong = await auditor.get(PATH, params={"since": "yesterday"})
    assert '<details class="filter" open>' in wrong.text
    assert "newest first" not in text_of(wrong)


async def test_a_count_looks_at_so_many_rows_and_no_more(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound it says that there are more, and never fewer than the page shows."""
    person, auditor = await some_events(service)
    monkeypatch.setattr("app.features.audit.service.BATCH", 2)
    assert re.search(r"[5-9] of [5-9]\+ events, newest first|[5-9]\+ events", text_of(await auditor.get(PATH)))
    assert "1 event," in text_of(await auditor.get(PATH, params={"actor": person, "action": "signed_out"}))
    trail = service[AuditTrail]
    monkeypatch.setattr("app.features.audit.service.BATCH", 1)
    assert await trail.count_events(Filters(action="signin_succeeded"), 0) == "1+"
    assert await trail.count_events(Filters(action="signin_succeeded"), 2) == "2+"
    assert await trail.count_events(Filters(action="signed_out"), 0) == "1"
    assert await trail.count_events(Filters(since=utc_now() + timedelta(days=1)), 0) == "0"
    assert await trail.count_events(Filters(), 0) == "1+"


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (Filters(actor=uuid4(), action="signed_out"), "ix_audit_events_actor_id"),
        (Filters(target=uuid4(), actor=uuid4(), since=utc_now()), "ix_audit_events_target_id"),
        (Filters(action="signed_out", since=utc_now(), until=utc_now()), "ix_audit_events_action"),
        (Filters(since=utc_now(), until=utc_now()), "ix_audit_events_created_at"),
    ],
)
@pytest.mark.same_on_every_database
async def test_a_count_has_an_index(start: StartService, tmp_path: Path, filters: Filters, index: str) -> None:
    """The first condition alone narrows, to so many rows: SQLite does not know how many an index has for a value."""
    ran = list[tuple[str, Any]]()

    def note(_: object, __: object, statement: str, parameters: Any, *more: object) -> None:
        ran.append((statement, parameters))

    async with start(database_url=f"sqlite+aiosqlite:///{tmp_path}/own.db") as service:
        event.listen(Engine, "before_cursor_execute", note)
        try:
            assert await service[AuditTrail].count_events(filters, 0) == "0"
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        ((statement, parameters),) = [each for each in ran if "FILTER" in each[0]]
        async with service[Database].read() as db:
            connection = await db.connection()
            plan = (await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)).all()
    assert re.search(rf"SEARCH audit_events USING (COVERING )?INDEX {index} ", str(plan)), plan
    narrowed = re.search(r"WHERE ([^)]*) LIMIT ", " ".join(statement.split()))
    assert narrowed, statement
    assert set(re.findall(r"audit_events\.(\w+)", narrowed[1])) == {index.removeprefix("ix_audit_events_")}
    assert BATCH + 1 in tuple(parameters)


async def test_names_a_service_account_by_its_client(service: Service) -> None:
    """Its address is made up, and nobody knows it; a mark comes first, as the name can be somebody's address."""
    machine = await register_machine(service, name="Nightly <export> & more")
    await machine_token(service, machine)
    _, admin = await with_browser(service, Role.ADMIN)
    answer = await admin.get(PATH, params={"action": "token_issued"})
    assert "service account Nightly <export> & more" in text_of(answer)
    assert "clients.invalid" not in answer.text


async def test_names_people_by_their_address(service: Service) -> None:
    """Who did it and to whom; an address finds both; an account that is gone is a number."""
    person, tokens = await service.signed_in()
    gone, _ = await service.signed_in()
    _, admin = await with_browser(service, Role.ADMIN)
    assert (await admin.post(f"/admin/users/{gone.id}/delete")).status_code == 303
    answer = await admin.get(PATH, params={"actor": person.email.upper()})
    assert shown(answer) == ["signin_succeeded"]
    assert f'<bdi title="{person.id}">{person.email}</bdi>' in answer.text
    assert shown(await admin.get(PATH, params={"target": person.email})) == ["account_created"]
    everything = await admin.get(PATH)
    assert gone.email not in everything.text
    assert f'<code title="{gone.id}">' in everything.text
    copy = table(await admin.post(EXPORT, actor=person.email))
    assert [row["action"] for row in copy] == ["signin_succeeded"]
    assert person.email not in (await stored(service))[-1]["details"]
    assert tokens.access not in everything.text


async def test_opens_a_row_in_full(service: Service) -> None:
    """All that is kept of an event: its number, the session, the request, and each detail in words."""
    person, _ = await service.signed_in()
    _, admin = await with_browser(service, Role.ADMIN)
    await admin.post(f"/admin/users/{person.id}/roles", role_member="on", role_auditor="on")
    answer = await admin.get(PATH, params={"action": "roles_changed"})
    (event,) = [row for row in await stored(service) if row["action"] == "roles_changed"]
    for value in (event["sequence"], event["session_id"], event["request_id"]):
        assert f"<dd>{value}</dd>" in answer.text
    assert "<dt>after</dt><dd>auditor, member</dd>" in answer.text


@pytest.mark.asvs("1.2.1", "2.2.1")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("actor", "x"),
        ("actor", "nobody@people.example"),
        ("target", "nobody@people.example"),
        ("target", "'; DROP TABLE audit_events; --"),
        ("action", "<script>alert(1)</script>"),
        ("since", "yesterday"),
        ("since", "2026-13-01T00:00"),
        ("until", "2026-01-01T00:00+99:00"),
        ("until", "x" * 3000),
        ("cursor", "x"),
        ("order", "sequence"),
    ],
)
async def test_a_filter_that_is_none_is_said_beside_its_field(service: Service, field: str, value: str) -> None:
    """Not a crash, not everything; and what was typed is text."""
    _, auditor = await with_browser(service, Role.AUDITOR)
    answer = await auditor.get(PATH, params={field: value})
    shows_again(answer, 422)
    assert "<script" not in answer.text
    assert "<td" not in answer.text
    assert "x" * 2001 not in answer.text
    if field in {"actor", "target", "since", "until"}:
        assert 'aria-invalid="true"' in answer.text.split(f'id="{field}"')[1].split(">")[0]
    if field != "cursor":
        refused = await auditor.post(EXPORT, **{field: value})
        shows_again(refused, 422)


async def test_long_lists_come_in_parts(service: Service) -> None:
    """The link to the next part keeps the filters, and shows what is left."""
    person, tokens = await service.signed_in()
    token = tokens.refresh
    for _ in range(60):
        token = (await service.refresh(token)).json()["refresh_token"]
    _, auditor = await with_browser(service, Role.AUDITOR)
    first = await auditor.get(PATH, params={"actor": str(person.id), "action": "token_refreshed"})
    found = re.search(r'href="(/admin/audit\?[^"]+)" rel="next"', first.text)
    assert found is not None
    path = found[1].replace("&amp;", "&")
    assert f"actor={person.id}" in path
    second = await auditor.get(path)
    assert (len(shown(first)), len(shown(second))) == (50, 10)
    assert set(shown(second)) == {"token_refreshed"}


async def test_takes_a_copy_that_is_on_record(service: Service) -> None:
    """A file with what the filters let through, oldest first; who took what is an event before it begins."""
    person, auditor = await some_events(service)
    answer = await auditor.post(EXPORT, actor=person)
    assert answer.headers["Content-Type"] == "application/jsonl"
    assert re.fullmatch(r'attachment; filename="audit-\d{4}-\d\d-\d\d\.jsonl"', answer.headers["Content-Disposition"])
    assert answer.headers["Cache-Control"] == "no-store"
    rows = table(answer)
    assert [row["action"] for row in rows] == ["signin_succeeded", "signed_out"]
    assert {row["actor"] for row in rows} == {person}
    assert {len(row["digest"]) for row in rows} == {64}
    event = (await stored(service))[-1]
    assert event["action"] == "audit_exported"
    assert person in event["details"]
    whole = table(await auditor.post(EXPORT))
    assert [row["sequence"] for row in whole] == list(range(1, len(whole) + 1))
    assert whole[-1]["action"] == "audit_exported"


async def test_a_link_takes_no_copy(service: Service) -> None:
    """A GET leaves no trace, so it gives nothing."""
    _, auditor = await with_browser(service, Role.AUDITOR)
    assert (await auditor.get(EXPORT)).status_code == 405


@pytest.mark.asvs("1.2.1")
async def test_hostile_texts_of_the_trail_are_text(service: Service) -> None:
    """What a client calls itself is escaped and cut on the page."""
    person = await service.person()
    for agent in ("<script>alert(1)</script>", "\"'><img src=x>", "x" * 5000):
        await service.sign_in(person, headers={"User-Agent": agent})
    _, auditor = await with_browser(service, Role.AUDITOR)
    answer = await auditor.get(PATH)
    assert "<script" not in answer.text
    assert "<img src=x" not in answer.text
    assert str(escape("<script>alert(1)</script>"))[:30] in answer.text
    assert "x" * 100 not in answer.text


async def test_offers_every_event(service: Service) -> None:
    """A new one is in the list without a word here."""
    _, auditor = await with_browser(service, Role.AUDITOR)
    answer = await auditor.get(PATH)
    assert re.findall(r'<option value="(\w+)">', answer.text) == sorted(EVENTS)
