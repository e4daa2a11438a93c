"""Crashes to Sentry: which exception, where in the code, and the id of the request, whose log line has the rest.

What may leave is a list: no text of an exception, no variable, no source, no header, no address, nothing that was sent.
"""

import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from time import monotonic
from typing import Any

import sentry_sdk
from pydantic import SecretStr
from sentry_sdk.types import Event, Hint

from app.core.logging.setup import error_observers

_KEPT = ("event_id", "timestamp", "level", "platform", "environment", "release", "tags")
_KEPT_OF_FRAMES = ("filename", "abs_path", "module", "function", "lineno", "in_app")
_MOST_A_MINUTE = 30
_SECONDS = 60
_END_SECONDS = 2


@contextmanager
def reporting_crashes(dsn: SecretStr, environment: str) -> Iterator[None]:
    """Report what the block logs as an error with an exception; at its end what waits, for some seconds."""
    sentry_sdk.init(
        dsn=dsn.get_secret_value(),
        environment=environment,
        release=os.environ.get("SENTRY_RELEASE", ""),  # unset, the library would run git
        before_send=_known_parts,
        # Nothing that the library would find out itself.
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        include_local_variables=False,
        include_source_context=False,
        max_breadcrumbs=0,
        max_request_body_size="never",
        propagate_traces=False,
        send_client_reports=False,
        send_default_pii=False,
        server_name="",
        spotlight=False,
    )
    sent: deque[float] = deque(maxlen=_MOST_A_MINUTE)

    def report(line: Mapping[str, Any], error: BaseException) -> None:
        now = monotonic()
        if len(sent) == _MOST_A_MINUTE and now - sent[0] < _SECONDS:
            return
        sent.append(now)
        # An event that is no name is a sentence, which may quote the exception.
        event = line["event"] if line["event"].isidentifier() else line["logger"]
        with suppress(Exception):  # it is logged in any case
            sentry_sdk.capture_exception(error, tags={"event": event, "request_id": line.get("request_id", "none")})

    error_observers.append(report)
    try:
        yield
    finally:
        error_observers.remove(report)
        sentry_sdk.get_client().close(timeout=_END_SECONDS)


def _known_parts(event: Event, _: Hint) -> Event:
    exceptions = event.get("exception", {}).get("values", ())
    known: dict[str, Any] = {name: value for name, value in event.items() if name in _KEPT and value}
    known["exception"] = {"values": [_place_of(exception) for exception in exceptions]}
    return known  # type: ignore[return-value]  # a part of it


def _place_of(exception: Mapping[str, Any]) -> dict[str, Any]:
    frames = (exception.get("stacktrace") or {}).get("frames", ())
    known = [{name: frame[name] for name in _KEPT_OF_FRAMES if name in frame} for frame in frames]
    return {"type": exception.get("type"), "module": exception.get("module"), "stacktrace": {"frames": known}}
