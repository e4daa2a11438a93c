"""What commands show and read where a stream is full, closed, of another encoding, or left by its reader."""

import os
import sys
from pathlib import Path

import httpx2
import pytest

from tests.conftest import StartService
from tests.support.processes.command_line import CommandLine

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is there on Linux alone")

ADDRESS = "ada@people.example"
OTHER_LETTERS = "дарья@почта.example"
PASSWORD = "seven green lamps sing"
CREATE = ("create-admin", "--email", ADDRESS)
FULL = Path("/dev/full")
CLIENT = (
    "clients",
    "add",
    "--name",
    "Job",
    "--scope",
    "account:read",
    "--grant",
    "client_credentials",
    "--role",
    "member",
)
# How standard output is lost: each is code that runs before the command.
LOST = {
    "full": "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)",
    "closed": "import os, sys; os.close(1); sys.stdout = None",
    "left": "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1); sys.stdout = open(1, 'w', closefd=False)",
}
NARROW = "import sys; sys.stdout.reconfigure(encoding='cp1252', errors='strict')"


@pytest.mark.asvs("6.4.1")
@pytest.mark.parametrize("lost", LOST)
def test_a_password_that_cannot_be_shown_makes_no_account(manage: CommandLine, lost: str) -> None:
    """The command fails and has changed nothing: done again, it makes the account and shows the password."""
    done = manage.after(LOST[lost])(*CREATE)
    assert done.code == 1
    assert "account_created" not in done.err
    assert manage.create_admin(ADDRESS)


@pytest.mark.asvs("13.3.1")
@pytest.mark.parametrize("lost", LOST)
def test_a_secret_that_cannot_be_shown_is_not_given(manage: CommandLine, lost: str) -> None:
    """No client is added, and the secret that a client has stays as it is."""
    unseen = manage.after(LOST[lost])
    assert unseen(*CLIENT).code == 1
    assert manage("clients", "list").out == ""
    client_id = manage(*CLIENT).out.splitlines()[0].rsplit(" ", 1)[1]
    assert unseen("clients", "rotate", client_id).code == 1
    assert '"action":"client_secret_rotated"' not in manage("audit", "export").out


@pytest.mark.parametrize(
    "arguments",
    [
        ("migrate",),
        ("routes",),
        ("check",),
        ("check", "--deploy", "--format", "json"),
        ("audit", "verify"),
        ("audit", "export"),
        ("clients", "list"),
        ("purge",),
        ("purge", "--dry-run"),
        ("rotate-secret-key",),
        ("rotate-secret-key", "--reseal"),
    ],
    ids=" ".join,
)
def test_full_output_is_told_of_in_one_line(manage: CommandLine, arguments: tuple[str, ...]) -> None:
    """No traceback, and not a word about the database: one line, and exit code 1."""
    manage(*CLIENT)
    done = manage.start(*arguments, stdout=FULL).end()
    told = [line for line in done.err.splitlines() if not line.startswith("{")]
    assert (done.code, told) == (1, ["Standard output cannot be written to: No space left on device."])


def test_other_letters_than_the_encoding_has_are_escaped(manage: CommandLine) -> None:
    """The account of such an address is made and its password shown, in a console of Windows too."""
    done = manage.after(NARROW)("create-admin", "--email", OTHER_LETTERS)
    assert done.code == 0, done.err
    address, password = done.out.splitlines()
    assert address.isascii()
    assert address.endswith(".example")
    assert password.startswith("Password, shown this once: ")


@pytest.mark.parametrize(
    "command", [("create-admin", "--email"), ("clients", "add", "--scope", "account:read", "--name")]
)
def test_arguments_that_are_no_text_are_refused_in_words(manage: CommandLine, command: tuple[str, ...]) -> None:
    """Bytes that are not UTF-8, which a shell passes on as they are."""
    broken = os.fsdecode(b"\xff@people.example")
    done = manage.after("import sys; sys.stdout.reconfigure(errors='strict')")(*command, broken)
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(command[-1])


@pytest.mark.anyio
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "marked"])
async def test_a_byte_order_mark_is_no_part_of_a_password(
    manage: CommandLine, start: StartService, mark: bytes
) -> None:
    """PowerShell writes one before what it pipes, and ends lines as Windows does."""
    done = manage.start(*CREATE, "--password-stdin", stdin=mark + PASSWORD.encode() + b"\r\n").end()
    assert (done.code, done.out) == (0, f"Administrator: {ADDRESS}\n")
    async with start(database_url=manage.database_url) as service:
        answer = await service.client.post("/api/v1/signin", json={"email": ADDRESS, "password": PASSWORD})
    assert answer.status_code == httpx2.codes.OK


@pytest.mark.parametrize(
    "prelude", ["import os, sys; os.close(0); sys.stdin = None", "import os; os.dup2(os.open('.', os.O_RDONLY), 0)"]
)
def test_a_password_that_cannot_be_read_is_told_of(manage: CommandLine, prelude: str) -> None:
    """Standard input that is closed, or a folder."""
    done = manage.after(prelude)(*CREATE, "--password-stdin")
    assert done.code == 1
    assert "password" in done.err.splitlines()[-1]


@pytest.mark.parametrize("lost", ["full", "closed"])
@pytest.mark.parametrize("arguments", [("purge",), ("audit", "verify"), ("clients", "rotate", "canary")], ids=" ".join)
def test_commands_work_without_standard_error(manage: CommandLine, lost: str, arguments: tuple[str, ...]) -> None:
    """Their exit code is the same where neither their log nor a message can be written."""
    without = LOST[lost].replace(", 1)", ", 2)").replace("close(1)", "close(2)").replace("sys.stdout", "sys.stderr")
    assert manage.after(without)(*arguments).code == (1 if "canary" in arguments else 0)
