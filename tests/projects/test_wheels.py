"""What a rendered project needs is there as wheels: to install it takes no compiler, on any machine that it is for."""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import parse_wheel_filename

from tests.ci.test_workflows import tool
from tests.cli import bake_into
from tests.projects.test_rendered_projects import environment

PYTHONS = ("11", "12", "13", "14")
# What a wheel of each calls its platform, and what the markers of requirements call it.
PLATFORMS = {
    r"(manylinux|linux).*_x86_64": ("linux", "x86_64"),
    r"(manylinux|linux).*_aarch64": ("linux", "aarch64"),
    r"macosx_.*_(arm64|universal2)": ("darwin", "arm64"),
    r"win_amd64": ("win32", "AMD64"),
}


@pytest.mark.rendered
def test_nothing_is_compiled_on_the_machine_of_a_user(tmp_path: Path) -> None:
    """Each package, those of the tests too, has a wheel for Linux, macOS and Windows and for each version of Python.

    One that had none for Python 3.14 made `make run` fail there, whose source needs a compiler and a download.
    """
    project = bake_into(tmp_path, {"telemetry": "yes", "identity_providers": "yes"}).project
    export = [tool("uv"), "export", "--quiet", "--all-groups", "--no-hashes", "--no-emit-project", "--no-header"]
    run = subprocess.run(
        [*export, "--no-annotate"], cwd=project, env=environment(), capture_output=True, text=True, check=True
    )
    needed = [Requirement(line) for line in run.stdout.splitlines()]
    packages = tomllib.loads((project / "uv.lock").read_text(encoding="utf-8"))["package"]
    wheels = {each["name"]: [wheel["url"].rpartition("/")[2] for wheel in each.get("wheels", ())] for each in packages}
    assert len(needed) > 100
    assert sorted(missing(needed, wheels)) == []


def missing(needed: list[Requirement], wheels: dict[str, list[str]]) -> Iterator[str]:
    """Say which package has no wheel, and for what."""
    for pattern, (system, machine) in PLATFORMS.items():
        for minor in PYTHONS:
            place = {
                "sys_platform": system,
                "platform_machine": machine,
                "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[system],
                "os_name": "nt" if system == "win32" else "posix",
                "python_version": f"3.{minor}",
                "python_full_version": f"3.{minor}.5",
                "platform_python_implementation": "CPython",
            }
            for each in needed:
                if (each.marker is None or each.marker.evaluate(place)) and not fits(wheels[each.name], pattern, minor):
                    yield f"{each.name} on {system} {machine}, Python 3.{minor}"


def fits(files: list[str], platform: str, minor: str) -> bool:
    """Whether one of the wheels is for the platform, and for that version of CPython."""
    for file in files:
        for tag in parse_wheel_filename(file)[3]:
            version = re.fullmatch(r"(?:cp|py)3(\d*)", tag.interpreter)
            if version and (tag.platform == "any" or re.fullmatch(platform, tag.platform)):
                stable = tag.abi in {"abi3", "none"} and int(version[1] or 0) <= int(minor)
                if stable or version[1] == minor:
                    return True
    return False
