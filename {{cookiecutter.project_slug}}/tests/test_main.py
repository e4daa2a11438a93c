"""The service as a server asks for it."""

import subprocess
import sys
from pathlib import Path

from tests.support.server import PROJECT, environment

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
