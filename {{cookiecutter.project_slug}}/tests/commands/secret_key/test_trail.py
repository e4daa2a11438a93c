"""The audit trail when the secret key changes."""

import pytest

from tests.support.processes.command_line import CommandLine

ROTATE = "rotate-secret-key"


@pytest.mark.asvs("11.2.2", "16.4.2")
def test_the_audit_trail_holds_when_the_old_key_is_gone(command_line: CommandLine) -> None:
    """The old key cannot go before the current one confirms the trail; afterwards no row is in doubt."""
    command_line.create_admin("ada@people.example")
    assert command_line(ROTATE)[0] == 0
    command_line.let_time_pass()
    code, _, err = command_line(ROTATE, "--retire", "--yes")
    assert code == 1
    assert "1 heads of the audit trail are sealed with an earlier key" in err
    code, out, _ = command_line(ROTATE, "--reseal")
    assert (code, "heads of the audit trail: 1 sealed with the current key" in out) == (0, True)
    assert command_line(ROTATE, "--retire", "--yes")[0] == 0
    assert len(command_line.keys()) == 1
    code, out, err = command_line("audit", "verify")
    assert code == 0, err
    assert out.startswith("4 rows, none of them changed, removed or added.")
