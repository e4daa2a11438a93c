"""What is measured. No label holds anything that a client can choose, or that says who somebody is.

With several workers, each keeps its values in files that the endpoint adds up; `multiprocess_mode` says how.
"""

from functools import cache
from time import perf_counter
from typing import Any

from prometheus_client import Counter, Gauge, Histogram, disable_created_metrics
from starlette.types import Receive, Scope, Send

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
