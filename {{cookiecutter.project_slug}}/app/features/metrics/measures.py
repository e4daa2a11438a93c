"""What is measured. No label holds anything that a client can choose, or that says who somebody is.

With several workers, each keeps its values in files that the endpoint adds up; `multiprocess_mode` says how. Requests
and events are counted; the event loop, queues, pools, tables, and whether the service is ready are looked at.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache
from time import perf_counter
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from starlette.types import Receive, Scope, Send

from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.events import OUTCOMES, EventCatalog, EventRecord, observers
from app.core.logging.setup import writer
from app.core.mail.delivery import MailDelivery
from app.core.services import Services
from app.features.accounts.passwords.hasher import PasswordHasher
from app.features.audit.service import AuditTrail
from app.features.system.routes import SharedCheck
from app.http.middleware.access_log import route_template
from app.http.request.allowed_methods import KNOWN_METHODS
from app.http.request.base import HttpMiddleware, at_start

disable_created_metrics()  # type: ignore[no-untyped-call]

REQUESTS = Counter("http_requests", "Requests, also refused ones.", ("method", "route", "status"))
SECONDS = Histogram("http_request_duration_seconds", "Time until the answer was complete.", ("method", "route"))
EVENTS = Counter("app_security_events", "Security events; docs/logging.md lists them.", ("event", "outcome"))
LAG = Histogram(
    "app_event_loop_lag_seconds",
    "How late the event loop wakes up.",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5),
)
HASHING = Gauge("app_hashing_waiting", "Passwords that wait for a thread.", multiprocess_mode="livesum")
CONNECTIONS = Gauge("app_database_connections", "Connections by pool.", ("pool", "state"), multiprocess_mode="livesum")
MAILS = Gauge("app_outbox_mails", "Mails in the outbox.", ("status",), multiprocess_mode="livemostrecent")
OLDEST_MAIL = Gauge("app_outbox_oldest_seconds", "Age of the mail that waits.", multiprocess_mode="livemostrecent")
AUDIT_ROWS = Gauge("app_audit_rows", "Rows of the audit trail, about.", multiprocess_mode="livemostrecent")
READY = Gauge("app_ready", "1 if the service can serve, as /readyz says.", multiprocess_mode="livemin")
LINES_DROPPED = Counter("app_log_lines_dropped", "Log lines that were dropped.")
_PROCESS_SECONDS = 0.25


class RequestMetricsMiddleware(HttpMiddleware):
    """Counts each request and measures its time, by the template of its route."""

    async def _handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, answer = perf_counter(), dict[str, Any]()
        try:
            await self.app(scope, receive, at_start(send, answer.update))
        finally:
            requests, seconds = _measures(
                scope["method"] if scope["method"] in KNOWN_METHODS else "OTHER",
                route_template(scope) or "none",
                answer.get("status", "none"),
            )
            requests.inc()
            seconds.observe(perf_counter() - started)


@cache
def _measures(method: str, route: str, status: int | str) -> tuple[Counter, Histogram]:
    """Find them once: each is as many as the routes have methods and statuses."""
    return REQUESTS.labels(method, route, status), SECONDS.labels(method, route)


@asynccontextmanager
async def sampling(services: Services) -> AsyncIterator[None]:
    """Count events and look at the rest while the block runs."""
    for event in services[EventCatalog].events:
        for outcome in OUTCOMES:
            # From 0 on: Prometheus does not see an increase from nothing to 1.
            EVENTS.labels(event.value, outcome)
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
    EVENTS.labels(event_record.action.value, event_record.outcome).inc()


async def _watch_process(services: Services) -> None:
    loop, dropped = asyncio.get_running_loop(), 0
    while True:
        due = loop.time() + _PROCESS_SECONDS
        await asyncio.sleep(_PROCESS_SECONDS)
        LAG.observe(max(0.0, loop.time() - due))
        HASHING.set(services[PasswordHasher].pool.waiting)
        for pool, (in_use, most) in services[Database].pools().items():
            CONNECTIONS.labels(pool, "in_use").set(in_use)
            CONNECTIONS.labels(pool, "most").set(most)
        before, dropped = dropped, writer.dropped
        LINES_DROPPED.inc(max(0, dropped - before))


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
            MAILS.labels("waiting").set(mails.waiting)
            MAILS.labels("failed").set(mails.failed)
            OLDEST_MAIL.set((utc_now() - mails.oldest).total_seconds() if mails.oldest else 0)
            AUDIT_ROWS.set(await services[AuditTrail].count())
            ready = True
    READY.set(ready)
