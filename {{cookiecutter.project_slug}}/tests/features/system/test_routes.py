"""Health and service information."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, event

from app.core.settings.model import Settings
from app.features.audit.models import AuditEvent
from app.features.system.routes import READY_SECONDS
from tests.conftest import StartService
from tests.support.records.trail import stored
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def test_livez_and_readyz_answer_without_signing_in(service: Service) -> None:
    """An orchestrator asks without credentials."""
    for path in ("/livez", "/readyz"):
        answer = await service.client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement that reaches a database."""
    found: list[str] = []

    def note(*arguments: Any) -> None:
        found.append(arguments[2])

    event.listen(Engine, "before_cursor_execute", note)
    yield found
    event.remove(Engine, "before_cursor_execute", note)


@pytest.mark.asvs("15.2.2")
async def test_a_flood_of_probes_asks_the_database_a_few_times(service: Service, statements: list[str]) -> None:
    """All are answered, at once and one after the other; each quarter of a second the first one looks."""
    began = time.monotonic()
    answers = await asyncio.gather(*(service.client.get("/readyz") for _ in range(100)))
    answers += [await service.client.get("/readyz") for _ in range(100)]
    assert {answer.status_code for answer in answers} == {200}
    checks = [text for text in statements if "SELECT 1" in text or "transaction_read_only" in text]
    assert len(checks) <= 2 + (time.monotonic() - began) / READY_SECONDS


@pytest.mark.asvs("15.2.2", "16.3.3")
async def test_a_flood_for_another_host_is_refused_and_counted(start: StartService, statements: list[str]) -> None:
    """One row of the trail for the first, and one with the count of the others; each costs no statement more."""
    async with start() as service:
        before = len(statements)
        answers = [await service.client.get("/api/v1/info", headers={"Host": f"evil{n}.example"}) for n in range(200)]
        assert {answer.status_code for answer in answers} == {400}
        assert len(statements) < before + 20
    async with start() as service:
        counted = await stored(service, AuditEvent.action == "host_refused")
    assert [json.loads(row["details"]).get("count") for row in counted] == [None, 199]


async def test_info_shows_exactly_the_three_settings_to_a_member(service: Service) -> None:
    """The settings example of the contract, and nothing else of the settings."""
    _, tokens = await service.signed_in()
    answer = await service.client.get("/api/v1/info", headers=tokens.bearer)
    settings = service[Settings]
    assert answer.json() == {
        "app_name": settings.app_name,
        "admin_email": settings.admin_email,
        "items_per_user": settings.items_per_user,
    }
