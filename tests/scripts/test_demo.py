"""`make demo`: what a first-time user sees, also when something is in the way."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.baked import ROOT

DEMO = [sys.executable, str(ROOT / "scripts" / "demo.py")]


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def refused(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """What the demo says when it cannot run: in words, with exit code 1, without a traceback."""
    done = subprocess.run([*DEMO, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.rendered
def test_serves_the_project_until_ctrl_c(tmp_path: Path) -> None:
    """The sign-in that the demo shows works as it stands there; Ctrl-C ends everything with exit code 0."""
    port = free_port()
    log = tmp_path / "log"
    folder = tmp_path / "demo"
    # Where the tests run behind an `&`, Ctrl-C is ignored, which a new process inherits.
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    with log.open("wb") as output:
        demo = subprocess.Popen(
            [*DEMO, "--port", str(port), "--folder", str(folder)],
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    signal.signal(signal.SIGINT, inherited)
    try:
        deadline = time.monotonic() + 120
        while "Ctrl-C stops the service" not in log.read_text() and demo.poll() is None and time.monotonic() < deadline:
            time.sleep(0.2)
        text = log.read_text()
        found = re.search(r"curl -s (\S+/api/v1/signin) .*?-d '(.*?)'", text, re.DOTALL)
        assert found is not None, text
        url, body = found[1], found[2].encode()
        assert url == f"http://127.0.0.1:{port}/api/v1/signin"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            assert json.load(answer)["access_token"]
        # Browsers have passkeys for a name alone.
        (page,) = re.findall(r"Open +(\S+/login)", text)
        assert page == f"http://localhost:{port}/login"
        with urllib.request.urlopen(page) as answer:  # noqa: S310
            assert answer.url == page
    finally:
        demo.send_signal(signal.SIGINT)
        assert demo.wait(30) == 0, log.read_text()
    assert "Traceback" not in log.read_text()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_says_that_the_port_is_in_use(tmp_path: Path) -> None:
    """Before anything is rendered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert f"Port {port} of 127.0.0.1 cannot be used" in refused(
            "--port", str(port), "--folder", str(tmp_path / "d")
        )
    assert not (tmp_path / "d").exists()


def test_says_that_uv_is_missing(tmp_path: Path) -> None:
    """And how to get it."""
    text = refused("--port", str(free_port()), "--folder", str(tmp_path / "d"), environment={"PATH": str(tmp_path)})
    assert "uv was not found" in text


def test_refuses_a_folder_that_it_did_not_make(tmp_path: Path) -> None:
    """Nobody's files are removed."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "precious").touch()
    uv = str(Path(shutil.which("uv") or "uv"))
    text = refused(
        "--port",
        str(free_port()),
        "--folder",
        str(tmp_path / "d"),
        environment={"PATH": str(Path(uv).parent), "UV": uv},
    )
    assert "was not made by make demo" in text
    assert (tmp_path / "d" / "precious").exists()


def test_starts_afresh_after_an_earlier_run_that_was_not_finished(tmp_path: Path) -> None:
    """What it left is removed, and said so; a tool that then fails is named, with what it said."""
    folder = tmp_path / "d"
    (folder / "my-secure-api").mkdir(parents=True)
    (folder / ".made-by-make-demo").touch()
    half = folder / "my-secure-api" / "half-finished"
    half.touch()
    broken = tmp_path / "uv"
    broken.write_text("#!/bin/sh\necho no network; exit 2\n", encoding="utf-8")
    broken.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "UV": str(broken)}
    text = refused("--port", str(free_port()), "--folder", str(folder), environment=environment)
    assert "Removing what an earlier run left" in text
    assert not half.exists()
    assert "Installing it failed." in text
    assert "no network" in text
