"""`manage new-feature` refuses what would not become a feature, and `manage roles` prints who may do what."""

import pytest

from tests.support.command_line import CommandLine


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("Notes",), "must be 2 to 20 small letters"),
        (("my_notes",), "must be 2 to 20 small letters"),
        (("../notes",), "must be 2 to 20 small letters"),
        (("notes", "--one", "class"), "no word of Python"),
        (("notes", "--one", "notes"), "must differ"),
        (("sessions",), "There is a feature or a table sessions already."),
        (("users",), "There is a feature or a table users already."),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_refuses_a_name_with_a_reason(command_line: CommandLine, arguments: tuple[str, ...], said: str) -> None:
    """One line with an example, exit code 1, and nothing is written."""
    code, out, err = command_line("new-feature", *arguments)
    assert (code, out) == (1, "")
    assert said in err


def test_prints_every_permission_with_its_roles(command_line: CommandLine) -> None:
    """One line for each, sorted, under a header that names the roles."""
    code, out, _ = command_line("roles")
    header, *lines = out.splitlines()
    assert code == 0
    assert header.split() == ["permission", "member", "auditor", "admin", "description"]
    assert lines == sorted(lines)
    (line,) = [line for line in lines if line.startswith("users:read ")]
    assert line.split()[:4] == ["users:read", "-", "yes", "yes"]
