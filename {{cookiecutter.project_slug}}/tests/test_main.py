"""The service as a server asks for it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.processes.server import PROJECT, environment

_COUNT = """
import gc, sys
sys.path.insert(0, sys.argv[1])
from app.main import app
print(len(gc.get_objects()), gc.get_freeze_count())
"""


def test_no_garbage_is_sought_among_what_the_service_is_made_of(tmp_path: Path) -> None:
    """Every object that is there before the first request is left alone by the collector."""
    done = subprocess.run(
        [sys.executable, "-c", _COUNT, str(PROJECT)],
        cwd=tmp_path,
        env=environment(DATABASE_URL=f"sqlite:///{tmp_path / 'app.db'}"),
        capture_output=True,
        text=True,
        check=True,
    )
    watched, left_alone = map(int, done.stdout.split())
    assert watched < left_alone / 100


@pytest.mark.asvs("13.4.2")
def test_the_start_tells_of_suspicious_settings(tmp_path: Path) -> None:
    """A misspelt variable; in production what `check --deploy` warns of too. No value is shown."""
    misspelt = {"REDIS_ULR": "redis://canary", "RATE_LIMIT_SIGNIN": "10/15minutes", "RATE_LIMIT_DEFAULT": "300/minute"}
    production = {
        "ENVIRONMENT": "production",
        "PUBLIC_URL": "https://api.service.example",
        "SMTP_URL": "smtps://smtp.service.example",
        "TRUSTED_PROXIES": "10.0.0.5",
    }
    url = "postgresql://postgres:6h3JfKq9@/app?host=db.service.example&ssl=disable"
    for settings, expected in (
        (misspelt, {("settings.W001", "REDIS_ULR")}),
        (
            misspelt | production,
            {
                ("settings.W001", "REDIS_ULR"),
                ("deploy.W006", "DATABASE_URL"),
                ("deploy.W007", "REDIS_URL"),
                ("deploy.W011", "DATABASE_URL"),
            },
        ),
    ):
        done = subprocess.run(
            [sys.executable, "-c", "from app.main import create_app; create_app()"],
            cwd=tmp_path,
            env=environment(DATABASE_URL=url, **settings),
            capture_output=True,
            text=True,
            check=True,
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        told = {(line["id"], line["setting"]) for line in lines if line["event"] == "setting_suspicious"}
        assert told == expected
        assert "canary" not in done.stdout + done.stderr
        assert "6h3JfKq9" not in done.stdout + done.stderr
