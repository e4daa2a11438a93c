"""`app/features/metrics/`: what happens is counted, under labels that no client can choose."""

import secrets
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from sqlalchemy import text as text_of, update

from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.mail.outbox import Mail, Outbox, OutboxMail
from app.core.services import services_of
from app.features.metrics import measures
from tests.conftest import StartService
from tests.features.metrics.conftest import Measured, samples, value_in
from tests.support.processes.server import environment, request
from tests.support.processes.warm import Command


def test_requests_and_security_events_are_counted(measured: Measured) -> None:
    """By the template of the route, the status and the name of the event; events from 0 on."""
    before = measured.text()
    assert value_in(before, "app_security_events_total", event="token_reused") == 0
    assert ("app_security_events_total", (("event", "token_reused"), ("outcome", "denied"))) in samples(before)
    client = measured.client
    for _ in range(3):
        client.post("/api/v1/signin", json={"email": "nobody@people.example", "password": "wrong password"})
    client.get(f"/api/v1/users/{secrets.token_hex(8)}")
    client.post("/login", headers={"Cookie": "a=b", "Sec-Fetch-Site": "cross-site"})
    client.get("/livez", headers={"Host": "evil.example"})
    client.get("/api/v1/info", headers={"Host": "evil.example"})
    after = measured.text()

    def grown(name: str, **labels: str) -> float:
        return value_in(after, name, **labels) - value_in(before, name, **labels)

    assert grown("app_security_events_total", event="signin_failed", outcome="failure") == 3
    assert grown("app_security_events_total", event="unauthenticated") == 1
    assert grown("app_security_events_total", event="cross_origin_refused") == 1
    assert grown("app_security_events_total", event="host_refused") == 1
    assert grown("http_requests_total", method="POST", route="/api/v1/signin", status="401") == 3
    assert grown("http_request_duration_seconds_count", method="POST", route="/api/v1/signin") == 3
    assert grown("http_requests_total", route="/api/v1/users/{user_id}", status="401") == 1
    assert grown("http_requests_total", route="none", status="400") == 1
    assert value_in(after, "app_ready") == 1
    assert grown("app_event_loop_lag_seconds_count") >= 1


@pytest.mark.asvs("14.2.4", "16.2.5")
def test_no_client_makes_a_series_and_none_names_anybody(measured: Measured) -> None:
    """Paths, methods, hosts, addresses, tokens and ids of strangers: after the first of each kind, nothing is new."""

    def attack() -> list[str]:
        canaries = [f"Canary{secrets.token_hex(8)}" for _ in range(6)]
        path, method, host, mail, token, agent = canaries
        client = measured.client
        for target in (
            f"/{path}",
            f"/api/v1/users/{path}",
            f"/api/v1/{path}/more",
            f"/livez?{path}",
            f"/livez/{path}",
        ):
            client.get(target, headers={"Authorization": f"Bearer {token}", "User-Agent": agent})
            client.get(target, headers={"Host": f"{host}.example"})
        for known in ("PROPFIND", "TRACE", "PURGE", "DELETE", "PUT"):
            client.request(known, f"/{path}")
        for raw in (
            request(method.upper(), "/livez"),
            request("GET", f"/%00{path}"),
            request("GET", f"//{host}/{path}"),
        ):
            with suppress(OSError):
                measured.server.send(raw)
        client.post("/api/v1/signin", json={"email": f"{mail}@people.example", "password": token})
        client.post("/api/v1/accounts", json={"email": f"{mail}@people.example", "password": f"{token} {agent}"})
        client.post("/oauth/token", data={"grant_type": path, "client_id": host, "client_secret": token})
        return canaries

    sent = attack()
    known = samples(measured.text())
    for _ in range(5):
        sent += attack()
    text = measured.text()
    assert samples(text) - known == set()
    assert not [canary for canary in sent if canary.lower() in text.lower()]
    assert {dict(labels)["method"] for name, labels in samples(text) if name == "http_requests_total"} <= {
        *("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "OTHER")
    }


@pytest.mark.anyio
async def test_tables_and_queues_are_measured(start: StartService) -> None:
    """Rows of the trail, and mail that waits and how long; without the database, the service is not ready."""
    async with start(metrics_port=9) as service:
        person, services = await service.person(), services_of(service.app)
        await service.sign_in(person)
        async with service[Database].transaction() as db:
            await service[Outbox].add(db, Mail(to=person.email, subject="canary", text="canary", html="canary"))
            long_ago = utc_now() - timedelta(minutes=20)
            await db.execute(update(OutboxMail).values(created_at=long_ago, due_at=utc_now() + timedelta(hours=1)))
        await measures._measure_stores(services)  # noqa: SLF001  # what it does every ten seconds
        text = generate_latest().decode()
        assert value_in(text, "app_audit_rows") >= 2
        assert value_in(text, "app_outbox_mails", status="waiting") == 1
        assert 1200 <= value_in(text, "app_outbox_oldest_seconds") < 1300
        assert value_in(text, "app_ready") == 1
        async with service[Database].transaction() as db:
            await db.execute(text_of("DROP TABLE outbox"))
        await measures._measure_stores(services)  # noqa: SLF001
        assert value_in(generate_latest().decode(), "app_ready") == 0


def test_without_a_port_nothing_is_measured(tmp_path: Path, database_url: str) -> None:
    """The public port has no such path, and the library is not even imported."""
    code = "import sys; from app.main import create_app; create_app(); sys.exit('prometheus_client' in sys.modules)"
    variables = environment(DATABASE_URL=database_url)
    done = Command((), folder=tmp_path, environment=variables, code=code).end()
    assert (done.code, done.err) == (0, "")
    measured_too = Command((), folder=tmp_path, environment=variables | {"METRICS_PORT": "9"}, code=code).end()
    assert measured_too.code == 1
