"""`manage new-feature` refuses what would not become a feature, and `manage roles` prints who may do what."""

import ast
import re
from collections import defaultdict
from pathlib import Path
from string import Template

import pytest

from app.commands.new_feature import command
from app.features import installed
from tests.support.processes.command_line import CommandLine

INSTALLED = Path(installed.__file__)
FULL_DISK = """
import pathlib
def write_text(*_, **__):
    raise OSError(28, "No space left on device")
pathlib.Path.write_text = write_text
"""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Notes",), "must be 2 to 20 small letters"),
        (("my_notes",), "must be 2 to 20 small letters"),
        (("../notes",), "must be 2 to 20 small letters"),
        (("notes", "--one", "class"), "no word of Python or of the code"),
        (("notes", "--one", "notes"), "must differ"),
        (("sessions",), "There is a feature, a table, a route or a permission sessions already."),
        (("users",), "There is a feature, a table, a route or a permission users already."),
        (("clients",), "There is a feature, a table, a route or a permission clients already."),
        (("roles",), "There is a feature, a table, a route or a permission roles already."),
        (("invitations",), "There is a feature, a table, a route or a permission invitations already."),
        (("docs",), "There is a feature, a table, a route or a permission docs already."),
        (("events",), "no word of Python or of the code"),
        (("notes", "--one", "conflict"), "no word of Python or of the code"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_refuses_a_name_with_a_reason(command_line: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    """One line with an example, exit code 1, and nothing is written."""
    code, out, err = command_line("new-feature", *arguments)
    assert (code, out) == (1, "")
    assert said in err


def test_no_name_in_the_code_of_a_feature_can_be_its_own() -> None:
    """What the templates import, name or take as a parameter: a feature of that name would hide it."""
    places = {ast.Name: "id", ast.arg: "arg", ast.alias: "name"}
    code = [path.read_text(encoding="utf-8") for path in Path(command.__file__).parent.rglob("app/*.py.txt")]
    trees = [ast.parse(Template(text).substitute(defaultdict(lambda: "x"))) for text in code]
    names = {getattr(node, places[type(node)]) for tree in trees for node in ast.walk(tree) if type(node) in places}
    wanted = {name.lower() for name in names if re.fullmatch("[A-Za-z][a-z]+", name)}
    assert len(code) >= 8
    assert wanted - command.OWN_NAMES == set()


def test_a_full_disk_or_a_closed_folder_is_told_in_a_line(command_line: CommandLine) -> None:
    """And the list of features stays as it is."""
    before = INSTALLED.read_bytes()
    code, out, err = command_line.after(FULL_DISK)("new-feature", "zebras")
    assert (code, out) == (1, "")
    assert (
        err
        == "The feature zebras cannot be written (No space left on device). Remove the files that are named above.\n"
    )
    assert INSTALLED.read_bytes() == before


def test_prints_every_permission_with_its_roles(command_line: CommandLine) -> None:
    """One line for each, sorted, under a header that names the roles."""
    code, out, _ = command_line("roles")
    header, *lines = out.splitlines()
    assert code == 0
    assert header.split() == ["permission", "member", "auditor", "admin", "description"]
    assert lines == sorted(lines)
    (line,) = [line for line in lines if line.startswith("users:read ")]
    assert line.split()[:4] == ["users:read", "-", "yes", "yes"]
