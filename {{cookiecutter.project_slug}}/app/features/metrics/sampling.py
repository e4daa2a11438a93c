"""What is looked at from time to time: the event loop, queues, pools, tables, and whether the service is ready."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.events import OUTCOMES, EventCatalog, EventRecord, observers
from app.core.logging.setup import writer
from app.core.mail.delivery import MailDelivery
from app.core.services import Services
from app.features.accounts.passwords.hasher import PasswordHasher
from app.features.audit.service import AuditTrail
from app.features.metrics import measures
from app.features.system.routes import SharedCheck

_PROCESS_SECONDS = 0.25


@asynccontextmanager
async def sampling(services: Services) -> AsyncIterator[None]:
    """Count events and look at the rest while the block runs."""
    for event in services[EventCatalog].events:
        for outcome in OUTCOMES:
            # From 0 on: Prometheus does not see an increase from nothing to 1.
            measures.EVENTS.labels(event.value, outcome)
    tasks = [asyncio.create_task(work(services), name="metrics") for work in (_watch_process, _watch_stores)]
    observers.append(_count)
    try:
        yield
    finally:
        observers.remove(_count)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


def _count(event_record: EventRecord) -> None:
    measures.EVENTS.labels(event_record.action.value, event_record.outcome).inc()


async def _watch_process(services: Services) -> None:
    loop, dropped = asyncio.get_running_loop(), 0
    while True:
        due = loop.time() + _PROCESS_SECONDS
        await asyncio.sleep(_PROCESS_SECONDS)
        measures.LAG.observe(max(0.0, loop.time() - due))
        measures.HASHING.set(services[PasswordHasher].pool.waiting)
        for pool, (in_use, most) in services[Database].pools().items():
            measures.CONNECTIONS.labels(pool, "in_use").set(in_use)
            measures.CONNECTIONS.labels(pool, "most").set(most)
        before, dropped = dropped, writer.dropped
        measures.LINES_DROPPED.inc(max(0, dropped - before))


async def _watch_stores(services: Services) -> None:
    while True:
        await _measure_stores(services)
        await asyncio.sleep(10)


async def _measure_stores(services: Services) -> None:
    """Look at the tables, and whether the service is ready; what the database raises is what is measured."""
    ready = False
    with suppress(Exception):
        async with asyncio.timeout(5):
            await services[SharedCheck]()
            mails = await services[MailDelivery].queue.standing()
            measures.MAILS.labels("waiting").set(mails.waiting)
            measures.MAILS.labels("failed").set(mails.failed)
            measures.OLDEST_MAIL.set((utc_now() - mails.oldest).total_seconds() if mails.oldest else 0)
            measures.AUDIT_ROWS.set(await services[AuditTrail].count())
            ready = True
    measures.READY.set(ready)
