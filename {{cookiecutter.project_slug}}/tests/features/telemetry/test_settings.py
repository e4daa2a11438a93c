"""`app/features/telemetry/settings.py`: what a collector and Sentry can be named by."""

from pathlib import Path

import pytest

from app.assembly import SETTINGS
from app.core.settings.model import load_settings
from app.core.settings.report import SettingsError
from tests.support.settings_sources import CANARY, PRODUCTION, Sources


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", CANARY),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://user:{CANARY}@collector:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://collector:4318?key={CANARY}"),
        ("SENTRY_DSN", CANARY),
        ("SENTRY_DSN", f"https://{CANARY}.example/1"),
        ("SENTRY_DSN", f"https://{CANARY}@sentry.example/project"),
        ("SENTRY_DSN", f"http://{CANARY}@sentry.example/1"),
    ],
)
def test_a_value_that_breaks_a_rule_is_refused_without_being_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str
) -> None:
    """The message names the setting, and no part of the value."""
    Sources(monkeypatch, tmp_path).environment(**PRODUCTION)
    load_settings(SETTINGS)
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"  {name}: ") as caught:
        load_settings(SETTINGS)
    assert CANARY not in str(caught.value)
