"""`manage rotate-secret-key --retire`: the earlier keys go when nothing and nobody needs them."""

import os
import sys
from pathlib import Path

import pytest

from tests.support.processes.command_line import CommandLine

if sys.platform != "win32":
    import pty

ROTATE = "rotate-secret-key"


def test_the_old_key_stays_while_tokens_of_it_may_be_in_use(manage: CommandLine) -> None:
    """Ten minutes and one after the file was changed; then only when somebody says that all was restarted."""
    assert manage(ROTATE, "--retire", "--yes")[1] == "There is no earlier key.\n"
    manage(ROTATE)
    code, _, err = manage(ROTATE, "--retire", "--yes")
    assert code == 1
    assert "11 minutes after .env was changed" in err
    assert manage(ROTATE, "--reseal")[0] == 0
    manage.let_time_pass()
    code, _, err = manage(ROTATE, "--retire")
    assert code == 1
    assert "Add --yes" in err
    assert len(manage.keys()) == 2
    code, out, err = manage(ROTATE, "--retire", "--yes")
    assert (code, "Restart" in out, '"event":"keys_retired"' in err) == (0, True, True)
    assert manage.env_file.read_text().endswith("\nSECRET_KEY_FALLBACKS=\n")
    assert manage(ROTATE)[0] == 0
    assert len(manage.keys()) == 2


@pytest.mark.parametrize(("answer", "code", "left"), [("n", 1, 2), ("y", 0, 1)])
def test_somebody_at_a_terminal_is_asked(manage: CommandLine, answer: str, code: int, left: int) -> None:
    """Whether every process was restarted: the old key goes only with a yes."""
    assert manage(ROTATE)[0] == 0
    assert manage(ROTATE, "--reseal")[0] == 0
    manage.let_time_pass()
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    ended, out, _ = manage.start(ROTATE, "--retire", stdin=Path(os.ttyname(theirs))).end()
    os.close(theirs)
    os.close(ours)
    assert ended == code
    assert "Was every process of the service restarted since .env was changed at " in out
    assert len(manage.keys()) == left
