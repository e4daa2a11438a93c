"""`app/features/telemetry/`: what leaves for a collector and for Sentry, seen by real servers that play them."""

import socket
import time
from pathlib import Path
from secrets import token_urlsafe

import httpx2
import pytest

from tests.features.telemetry.conftest import Receiver
from tests.support.api.canaries import send_secrets
from tests.support.database.databases import Databases
from tests.support.processes.command_line import CommandLine
from tests.support.processes.replicas import EMAIL, PASSWORD, sign_in
from tests.support.processes.server import ServerProcess, environment
from tests.support.processes.warm import Command

pytestmark = pytest.mark.same_on_every_database

CRASH = """
from sqlalchemy.exc import ProgrammingError
from app.features.accounts.own_account import OwnAccountService
async def crash(self, principal, current, new, **_):
    local = current.get_secret_value()
    try:
        raise ValueError(f"cause {local}")
    except ValueError as cause:
        error = ProgrammingError(f"SELECT {new.get_secret_value()}", {"bound": local}, cause)
        error.add_note(f"note {local}")
        raise error from cause
OwnAccountService.change_password = crash
"""
CRASHING = "/api/v1/users/me/password"
IMPORTED = """
import atexit, sys
atexit.register(lambda: print("imported", {"sentry_sdk", "opentelemetry.exporter.otlp"} & set(sys.modules), flush=True))
"""
ATTRIBUTES = {
    *("http.request.method", "http.route", "http.response.status_code", "error.type"),
    *("url.scheme", "network.protocol.version", "code.function.name"),
}
EVENT = {"event_id", "timestamp", "level", "platform", "environment", "tags", "exception"}
FRAME = {"filename", "abs_path", "module", "function", "lineno", "in_app"}
MOST_CRASHES = 30
TRACE = "0af7651916cd43dd8448eb211c80319c"
FOREIGN = {
    "traceparent": f"00-{TRACE}-b7ad6b7169203331-01",
    "tracestate": "canary=CanaryOfTheState",
    "baggage": "canary=CanaryOfTheBaggage",
    "sentry-trace": f"{TRACE}-b7ad6b7169203331-1",
    "User-Agent": "CanaryOfTheAgent",
    "X-Forwarded-For": "203.0.113.77",
}


@pytest.mark.asvs("14.2.3", "16.2.5")
def test_nothing_leaves_but_routes_statuses_types_and_places(
    receiver: Receiver, tmp_path: Path, databases: Databases
) -> None:
    """Spans and crash reports arrive, also those of the last moment; no secret, text, SQL, header or address does."""
    with databases.migrated(tmp_path) as url:
        settings = {
            "DATABASE_URL": url,
            "SECRET_KEY": token_urlsafe(64),
            "LOG_LEVEL": "debug",
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"{receiver.url}/",
            "SENTRY_DSN": receiver.dsn,
            "OTEL_EXPORTER_OTLP_HEADERS": "api-key=key%20of%20ours",
        }
        with ServerProcess(tmp_path, head_seconds=None, prelude=CRASH, **settings) as server:
            create = ("create-admin", "--email", EMAIL, "--password-stdin")
            given = environment(**settings)
            assert Command(create, folder=tmp_path, environment=given, stdin=PASSWORD.encode()).end().code == 0
            with httpx2.Client(base_url=server.url, headers=FOREIGN, timeout=30) as client:
                crashed = [crash(client) for _ in range(MOST_CRASHES + 5)]
                secrets, answers = send_secrets(client)
            assert server.stop() == 0
    assert {answer.status_code for answer in crashed} == {500}
    _assert_spans(receiver, answers)
    _assert_events(receiver, crashed)
    hidden = [
        *secrets,
        *FOREIGN.values(),
        TRACE,
        "Canary",
        "SELECT",
        "127.0.0.1:" + server.url.rpartition(":")[2],
        EMAIL,
    ]
    assert not [text for text in hidden if text in receiver.everything()]


def crash(client: httpx2.Client) -> httpx2.Response:
    """Ask for what crashes."""
    bearer = {"Authorization": f"Bearer {sign_in(client).json()['access_token']}"}
    passwords = {"current_password": "CanaryCurrent-9182", "new_password": "CanaryNew-9182-long-enough"}
    return client.post(f"{CRASHING}?q=CanaryQuery", json=passwords, headers=bearer)


def _assert_spans(receiver: Receiver, answers: list[httpx2.Response]) -> None:
    keys = {headers.get("api-key") for path, headers, _ in receiver.received if path == "/v1/traces"}
    assert keys == {"key of ours"}
    servers = [span for span in receiver.spans() if span.kind == span.SPAN_KIND_SERVER]
    assert len(servers) > len(answers)
    found = {(span.name, attributes(span).get("http.response.status_code")) for span in servers}
    assert {
        ("POST /api/v1/signin", 200),
        ("POST /api/v1/signin", 401),
        ("GET", 404),
        (f"POST {CRASHING}", 500),
    } <= found
    failed = next(span for span in servers if attributes(span).get("http.response.status_code") == 500)
    assert (failed.status.code, failed.status.message) == (failed.status.STATUS_CODE_ERROR, "")
    assert attributes(failed)["error.type"] == "500"
    for span in receiver.spans():
        assert set(attributes(span)) <= ATTRIBUTES
        assert (len(span.events), len(span.links), span.trace_state) == (0, 0, "")


def attributes(span: object) -> dict[str, object]:
    """The attributes of a span."""
    return {each.key: each.value.string_value or each.value.int_value for each in span.attributes}  # type: ignore[attr-defined]


def _assert_events(receiver: Receiver, crashed: list[httpx2.Response]) -> None:
    events = receiver.events()
    assert len(events) == MOST_CRASHES
    for event, answer in zip(events, crashed, strict=False):
        assert set(event) == EVENT
        assert event["tags"] == {"event": "unhandled_error", "request_id": answer.headers["X-Request-ID"]}
        cause, error = event["exception"]["values"]
        assert (cause["type"], error["type"], error["module"]) == ("ValueError", "ProgrammingError", "sqlalchemy.exc")
        assert set(cause) == {"type", "module", "stacktrace"}
        frames = error["stacktrace"]["frames"]
        assert (frames[-1]["function"], frames[-1]["lineno"]) == ("crash", 11)
        assert all(set(frame) <= FRAME for frame in frames)


@pytest.mark.parametrize("listens", [True, False])
def test_servers_that_are_silent_or_down_hold_nothing_up(
    tmp_path: Path, databases: Databases, *, listens: bool
) -> None:
    """The service answers as ever, and ends within seconds."""
    with databases.migrated(tmp_path) as url, socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if not listens:
            silent.close()
        endpoint, dsn = f"http://127.0.0.1:{port}", f"http://publickey@127.0.0.1:{port}/7"
        settings = {"DATABASE_URL": url, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "SENTRY_DSN": dsn}
        with (
            ServerProcess(tmp_path, head_seconds=None, prelude="", **settings) as server,
            httpx2.Client(base_url=server.url, timeout=30) as client,
        ):
            begin = time.monotonic()
            assert {client.get("/api/v1/info").status_code for _ in range(50)} == {401}
            assert time.monotonic() - begin < 5
            begin = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begin < 9


def test_without_a_setting_no_library_is_imported_and_nothing_is_sent(
    receiver: Receiver, tmp_path: Path, databases: Databases
) -> None:
    """Also where variables of the environment would have FastAPI send paths, queries and texts of exceptions."""
    variables = {
        "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{receiver.url}/v1/traces",
    }
    variables["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"] = f"{receiver.url}/v1/logs"
    with databases.migrated(tmp_path) as url:
        with ServerProcess(tmp_path, head_seconds=None, prelude=IMPORTED, DATABASE_URL=url, **variables) as server:
            assert httpx2.get(f"{server.url}/api/v1/info?q=canary", timeout=30).status_code == 401
            server.stop()
        assert "imported set()" in server.output()
    assert receiver.received == []


@pytest.mark.parametrize(
    ("setting", "extra", "package"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318", "telemetry", "opentelemetry.sdk"),
        ("SENTRY_DSN=https://publickey@sentry.example/7", "sentry", "sentry_sdk"),
    ],
)
def test_a_setting_without_its_packages_stops_the_boot(tmp_path: Path, setting: str, extra: str, package: str) -> None:
    """In a message that says how to install them."""
    command_line, (name, value) = CommandLine(tmp_path, f"sqlite:///{tmp_path}/app.db"), setting.split("=")
    without = command_line.after(f"import sys; sys.modules[{package!r}] = None")
    code, _, err = without("serve", "--port", "0", **{name: value})
    assert (code, f"{name}: needs packages that are not installed: uv sync --extra {extra}." in err) == (1, True)
    assert command_line("check", **{name: value}).code == 0
