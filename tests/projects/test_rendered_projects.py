"""Rendered projects: each passes its own checks and tests, on every Python of this machine."""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from itertools import combinations, product
from pathlib import Path

import pytest

from scripts.trees import CHOICES
from tests.ci.test_workflows import tool
from tests.cli import bake_into
from tests.projects.pythons import further_pythons

PYTHONS = further_pythons()
# Coverage makes Python 3.11 spin now and then, when threads end at the same time; see the rendered README.
FOR_COVERAGE = [*PYTHONS.values()][-1]
# Made up, and always the same: in a few of a hundred random ones, the scanner sees a word of a list, and lets it pass.
SECRET = f"client_secret = '{hashlib.sha256(b'made up').hexdigest()}'\n"

# By what they are for. Together with the default project, each answer meets each answer to every other prompt.
COMPANIONS = {
    "smallest": {
        "license": "Proprietary",
        "database": "postgresql",
        "browser_pages": "no",
        "sample_vault": "no",
        "api_keys": "no",
        "deployment": "none",
        "ci": "none",
    },
    "largest": {"identity_providers": "yes", "telemetry": "yes", "deployment": "kubernetes", "ci": "none"},
    "no vault, no keys": {
        "license": "Apache-2.0",
        "database": "postgresql",
        "sample_vault": "no",
        "api_keys": "no",
        "identity_providers": "yes",
        "telemetry": "yes",
        "ci": "gitlab",
    },
    "no keys": {
        "license": "BSD-3-Clause",
        "api_keys": "no",
        "identity_providers": "yes",
        "deployment": "none",
    },
    "no pages": {"browser_pages": "no", "telemetry": "yes", "deployment": "none", "ci": "gitlab"},
    "keys alone": {
        "license": "BSD-3-Clause",
        "database": "postgresql",
        "browser_pages": "no",
        "sample_vault": "no",
        "telemetry": "yes",
        "deployment": "kubernetes",
    },
    "vault alone": {
        "license": "Apache-2.0",
        "database": "postgresql",
        "browser_pages": "no",
        "api_keys": "no",
        "deployment": "kubernetes",
        "ci": "gitlab",
    },
    "telemetry alone": {
        "license": "Proprietary",
        "browser_pages": "no",
        "sample_vault": "no",
        "api_keys": "no",
        "telemetry": "yes",
        "ci": "none",
    },
}


# So many tests of the default project have a name that says so, at least.
LEAST_DECIDED = 300


def environment() -> dict[str, str]:
    """The environment of a user: without that of this template, and with uv."""
    ours = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"}}
    ours["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), ours["PATH"]])
    return ours


def make(
    project: Path,
    *targets: str,
    python: str | None = None,
    fails: bool = False,
    more: Mapping[str, str] | None = None,
) -> str:
    """Run make in a project as its user does, without the environment of this template: what it said."""
    ours = environment()
    if python is not None:
        ours["UV_PYTHON"] = python
    with tempfile.TemporaryDirectory() as temporary:
        # For everybody: some of its tests become somebody else.
        Path(temporary).chmod(0o1777)
        done = subprocess.run(
            ["make", *targets],
            cwd=project,
            env={**ours, "TMPDIR": temporary, **(more or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    assert (done.returncode != 0) is fails, _reasons(done.stdout) + done.stdout[-2000:]
    return done.stdout


def _reasons(output: str) -> str:
    """Why tests failed, which the log and the table of coverage would push out of the end."""
    return "".join(line for line in output.splitlines(keepends=True) if line.startswith("E  "))[:6000]


def hooks_find_nothing_but_what_is_bad(project: Path) -> None:
    """Git's hooks pass the project as it is; each names what it is for, and the commit is not made."""

    def run(*arguments: str, fails: bool = False) -> str:
        command = ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", *arguments]
        done = subprocess.run(command, cwd=project, env=ours, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    ours = {**environment(), "PRE_COMMIT_HOME": str(project.parent / "pre-commit")}
    subprocess.run([tool("pre-commit"), "install"], cwd=project, env=ours, check=True, capture_output=True)
    run("add", "uv.lock")
    run("commit", "--quiet", "--message", "The service as it was rendered")
    bad = {
        "app/core/unformatted.py": '"""Unformatted."""\nx = {  1 : 2}\n',
        "app/core/upwards.py": '"""Upwards."""\n\nfrom app.features import installed\n\n__all__ = ["installed"]\n',
        "app/core/unlinted.py": '"""Unlinted."""\n\nprint("x")\n',
        "app/core/untyped.py": '"""Untyped."""\n\nx: int = "x"\n',
        "docs/secret.md": SECRET,
    }
    for name, text in bad.items():
        (project / name).write_text(text, encoding="utf-8")
    toml = (project / "pyproject.toml").read_text("utf-8")
    run("add", *bad)
    said = run("commit", "--message", "Bad", fails=True)
    for hook in ("ruff format", "ruff check", "mypy", "import contracts", "secrets"):
        assert re.search(rf"^{hook}\.+Failed$", said, re.MULTILINE), said
    run("rm", "--quiet", "--force", *bad)
    (project / "pyproject.toml").write_text(toml.replace("[\n    ", '[\n    "iniconfig",\n    ', 1), encoding="utf-8")
    run("add", "pyproject.toml")
    assert re.search(r"^uv lock\.+Failed$", run("commit", "--message", "Bad", fails=True), re.MULTILINE)
    run("checkout", "--quiet", "HEAD", "pyproject.toml")


def what_the_database_decides_is_the_same_on_postgresql(project: Path) -> None:
    """Parallel uses, searches, orders, deletions and the trail; `make test-postgres` runs all that use the database."""
    decides = "audit or delete or once or parallel or purge or race or search or sort"
    command = ["uv", "run", "--no-sync", "pytest", "-q", "-n", "auto", "--dist", "worksteal"]
    command += ["--database=postgresql", "-m", "database", "-k", decides]
    done = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed
    assert int(passed[1]) >= LEAST_DECIDED


@pytest.mark.rendered
def test_the_default_project_passes_its_own_lint_and_tests(tmp_path: Path) -> None:
    """Format, lint, types, import contracts, every test, the hooks of git; and nothing of it changes a tracked file.

    Without `.env`, as in a clone.
    """
    project = bake_into(tmp_path, {}).project
    (project / ".env").unlink()
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    subprocess.run(["git", "add", "--all"], cwd=project, check=True)
    make(project, "setup")
    make(project, "--jobs=2", "lint", "test")
    what_the_database_decides_is_the_same_on_postgresql(project)
    hooks_find_nothing_but_what_is_bad(project)
    changed = subprocess.run(["git", "diff", "--name-only"], cwd=project, check=True, capture_output=True, text=True)
    assert changed.stdout == ""


@pytest.mark.rendered
def test_what_is_asked_for_passes_its_own_tests(tmp_path: Path) -> None:
    """What the default project leaves out, together: lint, types and contracts of the whole, and the tests of each."""
    project = bake_into(tmp_path, {"identity_providers": "yes", "telemetry": "yes"}).project
    make(project, "setup", "lint")
    tests = (
        "tests/features/identity",
        "tests/features/telemetry",
        "tests/core/settings/test_reference.py",
        "tests/access",
        "tests/features/test_features.py",
        "tests/security/test_effects.py",
    )
    command = ["uv", "run", "--no-sync", "pytest", "-q", "-n", "2", *tests]
    done = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_answer_meets_each_other_one_in_a_project_whose_suite_runs() -> None:
    """The default project and `COMPANIONS` are a covering set of pairs of all prompts but the licence, which is text.

    Without pages, there are no identity providers, whatever the answer is: nothing counts as a meeting there.
    """
    asked = {prompt: answers for prompt, answers in CHOICES.items() if prompt != "license"}
    default = {prompt: answers[0] for prompt, answers in asked.items()}
    missing = {
        frozenset({(one, answer), (other, reply)})
        for one, other in combinations(asked, 2)
        for answer, reply in product(asked[one], asked[other])
    }
    missing.discard(frozenset({("browser_pages", "no"), ("identity_providers", "yes")}))
    for changes in ({}, *COMPANIONS.values()):
        answers = {prompt: answer for prompt, answer in (default | changes).items() if prompt in asked}
        assert (answers["browser_pages"], answers["identity_providers"]) != ("no", "yes")
        missing -= {frozenset(pair) for pair in combinations(answers.items(), 2)}
    assert not missing


@pytest.mark.more
@pytest.mark.parametrize("answers", COMPANIONS.values(), ids=COMPANIONS)
def test_what_was_left_out_is_not_missed(tmp_path: Path, answers: dict[str, str]) -> None:
    """Each answer stands beside each answer to every other prompt, on PostgreSQL as on SQLite."""
    make(bake_into(tmp_path, answers).project, "check", python=FOR_COVERAGE)


@pytest.mark.postgres
def test_the_default_project_passes_on_postgresql(tmp_path: Path) -> None:
    """The code is the same for both databases, and so is what it does."""
    make(bake_into(tmp_path, {}).project, "test-postgres")


@pytest.mark.coverage
def test_the_tests_of_the_default_project_reach_its_code(tmp_path: Path) -> None:
    """The second half of its `make check`."""
    make(bake_into(tmp_path, {}).project, "coverage", python=FOR_COVERAGE)


@pytest.mark.more
@pytest.mark.parametrize("version", PYTHONS)
def test_the_default_project_passes_on_another_python(tmp_path: Path, version: str) -> None:
    """Every version of Python of this machine that the project is for passes its tests."""
    make(bake_into(tmp_path, {}).project, "test", python=PYTHONS[version])


@pytest.mark.more
def test_the_audit_of_the_default_project(tmp_path: Path) -> None:
    """What needs no network finds nothing, and finds what is put there; what needs one is never clean without it."""
    project = bake_into(tmp_path, {}).project
    make(project, "setup", "audit-code")
    for name, text, found in (
        ("app/unsafe.py", "eval(input())\n", "S307"),
        ("docs/notes.md", SECRET, "generic-api-key"),
    ):
        (project / name).write_text(text, encoding="utf-8")
        assert found in make(project, "audit-code", fails=True)
        (project / name).unlink()
    offline = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9")
    said = make(project, "audit-dependencies", fails=True, more={**offline, "NO_PROXY": "", "no_proxy": ""})
    assert "Not clean: a vulnerability is named above, or a dependency could not be looked up." in said


@pytest.mark.more
def test_the_audit_fails_where_git_tracks_the_settings(tmp_path: Path) -> None:
    """The scan passes `.env` over, as it is not tracked; so it must not be."""
    project = bake_into(tmp_path, {}).project
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    subprocess.run(["git", "add", "--all"], cwd=project, check=True)
    make(project, "audit-code")
    subprocess.run(["git", "add", "--force", ".env"], cwd=project, check=True)
    assert "git tracks .env" in make(project, "audit-code", fails=True)
