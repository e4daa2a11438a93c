"""The pages about the service itself."""

import pytest
from sqlalchemy import update

from app.access.guard import route_policies
from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.mail.outbox import Outbox, OutboxMail
from tests.conftest import StartService
from tests.support.pages.browser import text_of, with_browser
from tests.support.records.mail import mail
from tests.support.servers.valkey import running_valkey, url_of
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def test_shows_the_policy_of_every_route(service: Service) -> None:
    """Each line of the table."""
    _, admin = await with_browser(service, Role.ADMIN)
    text = text_of(await admin.get("/admin/routes"))
    for method, path, policy in route_policies(service.app):
        assert f"{method} {path} {policy}" in text


async def test_tells_how_the_service_is(service: Service) -> None:
    """Database and counters answer, and no mail waits."""
    _, admin = await with_browser(service, Role.ADMIN)
    text = text_of(await admin.get("/admin/health"))
    for words in ("Database answers in", "in the memory of each process", "Mail that waits 0", "Mail that failed none"):
        assert words in text


async def test_counts_the_mail_that_does_not_arrive(start: StartService) -> None:
    """With a mail server that is not there, it waits, since when is said; given up, it has failed."""
    async with start(smtp_url="smtp://127.0.0.1:9?tls=off") as service:
        _, admin = await with_browser(service, Role.ADMIN)
        async with service[Database].transaction() as db:
            await service[Outbox].add(db, mail())
            await service[Outbox].add(db, mail())
        assert "Mail that waits 2, the oldest just now" in text_of(await admin.get("/admin/health"))
        async with service[Database].transaction() as db:
            await db.execute(update(OutboxMail).values(status="failed", sealed=None, finished_at=utc_now()))
        text = text_of(await admin.get("/admin/health"))
        assert "Mail that waits 0 Mail that failed 2 within the retention" in text


async def test_counters_that_are_shared_answer(start: StartService) -> None:
    """Or there is no page, but a 503."""
    with running_valkey() as server:
        async with start(redis_url=url_of(server)) as service:
            _, admin = await with_browser(service, Role.ADMIN)
            assert "shared by all processes" in text_of(await admin.get("/admin/health"))
            server.stop()
            assert (await admin.get("/admin/health")).status_code == 503
