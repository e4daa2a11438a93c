"""What no module of the service may hold, whatever a linter is told: code from data, shells, objects from bytes."""

import ast
from pathlib import Path

import pytest

from tests.support.documents import sources, users_of, uses_of

pytestmark = pytest.mark.same_on_every_database

CODE = {"eval", "exec", "compile", "__import__"}
SHELLS = {
    "create_subprocess_shell",
    "execl",
    "execv",
    "getoutput",
    "getstatusoutput",
    "popen",
    "spawnl",
    "spawnv",
    "system",
}
OBJECTS = ("pickle", "marshal", "shelve", "dill", "jsonpickle", "code", "codeop")


def _calls() -> list[tuple[str, ast.Call]]:
    return [
        (path, node) for path, module in sources().items() for node in ast.walk(module) if isinstance(node, ast.Call)
    ]


@pytest.mark.asvs("1.3.2")
def test_no_data_becomes_code() -> None:
    """Neither `eval` nor `exec`, `compile` or `__import__` is called as Python's own."""
    called = [(path, call.func.id) for path, call in _calls() if isinstance(call.func, ast.Name)]
    assert len(called) > 1_000
    assert [(path, name) for path, name in called if name in CODE] == []


@pytest.mark.asvs("1.2.5")
def test_no_command_goes_through_a_shell() -> None:
    """Programs are started by a list of arguments; only commands of the terminal start any."""
    for path, call in _calls():
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        assert name not in SHELLS, path
        assert "shell" not in {keyword.arg for keyword in call.keywords}, path
    assert [path for path in sorted(users_of("subprocess")) if not path.startswith("app/commands/")] == []


@pytest.mark.asvs("1.5.2")
def test_no_bytes_become_objects() -> None:
    """Nothing reads a format that can name a class or a function; settings refuse to become one."""
    assert uses_of(*OBJECTS) == {("app/core/settings/model.py", "pickle.PicklingError")}


def test_no_line_is_kept_from_the_linter() -> None:
    """What a file of the service cannot follow stands in `pyproject.toml`, with the reason."""
    root = Path(__file__).parents[2]
    files = sorted(path for path in (root / "app").rglob("*.py*") if path.suffix in {".py", ".txt"})
    assert len(files) > 150
    assert [str(path) for path in files if "noqa" in path.read_text(encoding="utf-8")] == []


@pytest.mark.asvs("16.2.3")
def test_log_lines_go_to_one_place() -> None:
    """No handler of Python's logging but the one that writes to the standard streams, and no log of the system."""
    assert users_of("logging.handlers", "syslog", "systemd", "win32evtlog") == set()
    handlers = {(path, name) for path, name in uses_of("logging") if name.endswith("Handler")}
    called = {(path, call.func.attr) for path, call in _calls() if isinstance(call.func, ast.Attribute)}
    assert {path for path, name in handlers | called if name.endswith("Handler")} <= {"app/core/logging/setup.py"}
