"""What `deploy/` has for a machine without containers: systemd's units, and the TLS of the two proxies."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.baked import EVERYTHING
from tests.cli import SLUG
from tests.conftest import Bake

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux's")

UNITS = (f"{SLUG}@.service", f"{SLUG}-purge.service")
# Of 100: systemd's own words for up to 20 are "OK".
MOST_EXPOSED = 20
HARDENED = "# What it may touch"


@pytest.fixture(scope="session")
def systemd(bake: Bake) -> Path:
    """The folder of the units."""
    return bake().path / "deploy" / "systemd"


def analyze(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `systemd-analyze`, which needs no running systemd for this."""
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def allowed_calls(unit: str) -> set[str]:
    """The system calls that `SystemCallFilter=` of a unit leaves, line by line as systemd reads them."""
    allowed: set[str] = set()
    for line in re.findall(r"(?m)^SystemCallFilter=(.*)$", unit):
        named = {call for word in line.lstrip("~").split() for call in members(word)}
        allowed = allowed - named if line.startswith("~") else allowed | named
    return allowed | members("@default")


def members(name: str) -> set[str]:
    """A system call, or those of a group and of the groups in it."""
    if not name.startswith("@"):
        return {name}
    lines = analyze("syscall-filter", name).stdout.splitlines()[1:]
    words = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return {call for word in words for call in members(word)}


@pytest.mark.parametrize("name", UNITS)
def test_units_are_hardened(systemd: Path, name: str) -> None:
    """By systemd, the exposure of each service is at most 2.0 of 10."""
    done = analyze("security", "--offline=yes", f"--threshold={MOST_EXPOSED}", str(systemd / name))
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr


def test_both_services_may_do_the_same(systemd: Path) -> None:
    """What bounds the service bounds the purge too."""
    served, purged = ((systemd / name).read_text(encoding="utf-8").partition(HARDENED)[2] for name in UNITS)
    assert served.partition("[Install]")[0].split() == purged.split() != []


def test_units_are_read_without_a_complaint(systemd: Path, tmp_path: Path) -> None:
    """Every line is known to systemd; the programs that they start are put where it looks for them."""
    program = tmp_path / "opt" / "manage"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n", encoding="utf-8")
    program.chmod(0o755)
    units = []
    for path in sorted(systemd.iterdir()):
        text = re.sub(r"/opt/\S+/manage", str(program), path.read_text(encoding="utf-8"))
        text = re.sub(r"(?m)^Documentation=.*\n", "", text)
        units.append(tmp_path / path.name.replace("@.", "@8001."))
        units[-1].write_text(text, encoding="utf-8")
    done = analyze("verify", "--man=no", *map(str, units))
    said = [line for line in done.stderr.splitlines() if SLUG in line]
    assert said == []


def test_a_long_slug_has_a_user_that_linux_takes(bake: Bake) -> None:
    """The name of a user has 31 letters at most, and ends with one."""
    slug = "a-service-of-thirty-one-letter-s-and-more"
    unit = bake(project_slug=slug).path / "deploy" / "systemd" / f"{slug}@.service"
    (user,) = re.findall(r"(?m)^User=(.*)$", unit.read_text(encoding="utf-8"))
    assert re.fullmatch(r"[a-z][a-z0-9-]{0,30}(?<!-)", user)
    assert slug.startswith(user)


def test_the_pages_name_files_that_are_there(bake: Bake) -> None:
    """Each file of the project that a page about deployment names exists; `NAME` stands for the folder's name."""
    project = bake(**EVERYTHING)
    pages = [name for name in project.names() if name.startswith("docs/deployment")]
    assert len(pages) == 3
    for page in pages:
        named = re.findall(r"`((?:deploy|docs|tests)/[^`*…\s]+|Dockerfile|compose\.yaml)`", project.text(page))
        assert named
        # What is made on the server is not in the project.
        missing = [name for name in named if not (project.path / name.replace("NAME", SLUG)).exists()]
        assert [name for name in missing if not name.startswith("deploy/compose/secrets")] == [], page
