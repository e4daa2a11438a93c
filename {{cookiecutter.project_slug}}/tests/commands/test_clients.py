"""`manage clients`, as a process."""

import httpx2
import pytest

from tests.support.processes.command_line import CommandLine
from tests.support.processes.server import ServerProcess

WEB = ("clients", "add", "--name", "Web", "--scope", "account:read", "--redirect-uri", "https://app.example/cb")
MACHINE = ("clients", "add", "--name", "Job", "--scope", "account:read", "--grant", "client_credentials")


def added(command_line: CommandLine, *arguments: str) -> dict[str, str]:
    """What `add` shows: each line by its name."""
    code, out, err = command_line(*arguments)
    assert code == 0, err
    return {line.split(":")[0].split(",")[0]: line.rsplit(" ", 1)[1] for line in out.splitlines()}


@pytest.mark.asvs("13.3.1")
def test_adds_a_client_whose_secret_is_shown_once(command_line: CommandLine) -> None:
    """On standard output alone: neither the log nor the list has it."""
    code, out, err = command_line(*MACHINE, "--role", "member")
    assert code == 0
    secret = out.strip().rsplit(" ", 1)[1]
    assert secret.startswith("cs_")
    assert secret not in err
    assert "client_created" in err
    code, out, _ = command_line("clients", "list")
    assert (code, secret in out) == (0, False)
    assert [line.split("\t")[2] for line in out.splitlines()] == ["confidential"]


def test_what_is_added_works_until_it_is_rotated_or_removed(command_line: CommandLine) -> None:
    """Over HTTP, in a server that runs meanwhile: the old secret dies, then the client."""
    client = added(command_line, *MACHINE, "--role", "member")
    with (
        ServerProcess(command_line.folder, head_seconds=None, prelude="", **command_line.server_settings()) as server,
        httpx2.Client(base_url=server.url, timeout=30) as http,
    ):

        def status(secret: str) -> int:
            answer = http.post(
                "/oauth/token", data={"grant_type": "client_credentials"}, auth=(client["client_id"], secret)
            )
            return answer.status_code

        assert status(client["client_secret"]) == 200
        code, out, _ = command_line("clients", "rotate", client["client_id"])
        secret = out.strip().rsplit(" ", 1)[1]
        assert (code, status(client["client_secret"]), status(secret)) == (0, 401, 200)
        code, out, _ = command_line("clients", "remove", client["client_id"])
        assert (code, out, status(secret)) == (0, "Removed Job.\n", 401)
    assert command_line("clients", "list")[1] == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((*WEB, "--redirect-uri", "http://canary.example"), "--redirect-uri must be an absolute https address"),
        ((*WEB, "--scope", "canary"), "--scope must be permissions"),
        ((*WEB, "--name", " "), "--name must not be blank"),
        ((*WEB, "--role", "admin"), "client_credentials needs roles, and nothing else does"),
        (MACHINE, "client_credentials needs roles, and nothing else does"),
        ((*MACHINE, "--role", "admin", "--public"), "client_credentials needs a confidential client"),
        (("clients", "rotate", "canary"), "There is no such client."),
        (("clients", "remove", "canary"), "There is no such client."),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, tuple) else None,
)
def test_says_in_words_what_is_wrong(command_line: CommandLine, arguments: tuple[str, ...], message: str) -> None:
    """Exit code 1, the option, and not its value."""
    code, out, err = command_line(*arguments)
    assert (code, out) == (1, "")
    assert message in err
    assert "canary" not in err


def test_needs_a_schema(command_line: CommandLine, empty_database_url: str) -> None:
    """An outdated one is named, and nothing is added."""
    code, _, err = command_line(*WEB, DATABASE_URL=empty_database_url)
    assert (code, "manage migrate" in err) == (1, True)
