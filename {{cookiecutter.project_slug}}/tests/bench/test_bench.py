"""`make bench` works, for whoever believes its figures. How good they are depends on the machine."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import psutil
import pytest

from bench.__main__ import main
from bench.figures import Figure
from bench.report import table, write
from bench.servers import SQLITE, prepared_service, running_service
from tests.support.processes.server import PROJECT

MEASURE = ["--database", "postgresql", "--seconds", "0.1", "--rounds", "1"]
NAMES = [
    "Signed-in `GET /api/v1/users/me` ÷ a bare FastAPI route",
    "Anonymous `GET /livez` ÷ the same",
    "p99 while 64 sign-ins are under way ÷ idle p99",
    "Memory with 200 sign-ins under way, above idle",
    "64 sign-ins under way ÷ bare argon2id on the same cores",
    "8 sign-ins under way ÷ bare argon2id on the same cores",
    "Two workers ÷ one",
    "Scraped each second ÷ without metrics",
    "Start to first answer ÷ the bare route's",
]


@pytest.mark.timeout(300)
def test_measures_and_judges_every_figure(tmp_path: Path) -> None:
    """Each is a line, a row of the README and a bar of the chart; the exit code says whether all bounds are kept."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    shutil.copyfile(PROJECT / "README.md", tmp_path / "README.md")
    done = subprocess.run(
        [sys.executable, "-m", "bench", *MEASURE, "--write", str(tmp_path)],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert [line[11:].split("  ")[0] for line in lines] == NAMES, done.stderr
    missed = [line for line in lines if "MISSED" in line]
    assert done.returncode == (1 if missed else 0)
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert [line.split(" | ")[0][2:] for line in readme.splitlines() if " ÷ " in line or "| Memory" in line] == NAMES
    texts = [element.text for element in ET.parse(tmp_path / "docs" / "performance.svg").iter()]  # noqa: S314  # ours
    assert [text for text in texts if text in {name.replace("`", "") for name in NAMES}] == [
        name.replace("`", "") for name in NAMES
    ]


def _serves(process: psutil.Process) -> bool:
    try:
        return "serve" in " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie is one, too
        return False


def test_a_bench_that_is_ended_leaves_no_server() -> None:
    """SIGTERM, as of `timeout`, while it measures: the service and the bare route end with it."""
    bench = psutil.Popen([sys.executable, "-m", "bench", "--database", SQLITE, "--seconds", "60"], cwd=PROJECT)
    try:
        deadline = time.monotonic() + 60
        while len(servers := [each for each in bench.children() if _serves(each)]) < 2:
            assert time.monotonic() < deadline
            assert bench.poll() is None
            time.sleep(0.1)
        time.sleep(2)  # until both answer, and the load begins
        bench.terminate()
        assert bench.wait(30) == 128 + signal.SIGTERM
        assert psutil.wait_procs(servers, timeout=0)[1] == []
    finally:
        for process in (*bench.children(recursive=True), bench) if bench.is_running() else ():
            process.kill()


def test_serves_sqlite_with_workers() -> None:
    """A copy of the file, with the account that was made in it."""
    with prepared_service(SQLITE) as prepared, running_service(prepared, workers=2) as service:
        assert service.access_token()
        assert service.server.start_seconds > 0


def test_the_report_says_what_is_missed(tmp_path: Path) -> None:
    """A goal that is missed is said with how much of it is reached; a README without the marks is left alone."""
    missed = Figure("sqlite", "A ÷ B", 0.25, "10 requests/s", goal=0.5, bound=0.3)
    reached = Figure("postgresql", "A ÷ B", 2, "3.0 ms", goal=3, bound=5, least=False)
    assert (missed.kept, reached.kept) == (False, True)
    assert "| A ÷ B | ≥ 0.5, ≤ 3 | **0.25**, 50% of the goal; 10 requests/s | **2.00**; 3.0 ms |" in table(
        [missed, reached]
    )
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    with pytest.raises(RuntimeError, match="has no lines"):
        write(tmp_path, [missed])
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("option", ["--seconds", "--rounds"])
def test_refuses_to_measure_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    """It says what is wrong, before it starts a server."""
    monkeypatch.setattr(sys, "argv", ["bench", option, "0"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--seconds and --rounds must be above zero" in capsys.readouterr().err
