"""Measure a rendered project, and write what it prints into the README and the chart that the template renders."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
PROJECT = ROOT / "build" / "check" / "my-secure-api"


def main() -> int:
    """Measure, and put the report into the template."""
    environment = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    uv = os.environ["UV"]  # `uv run` sets it
    subprocess.run([uv, "sync", "--quiet"], cwd=PROJECT, env=environment, check=True)
    measure = [uv, "run", "--no-sync", "python", "-m", "bench", *sys.argv[1:], "--write", str(TEMPLATE)]
    return subprocess.run(measure, cwd=PROJECT, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
