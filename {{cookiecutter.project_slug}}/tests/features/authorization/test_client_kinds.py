"""Clients that act for users: how they are registered."""

from pathlib import Path

import pytest

from app.access.roles import Role
from tests.commands.test_clients import WEB as ADD_WEB, added
from tests.features.oauth.clients.test_service import URL, WEB, add
from tests.support.processes.command_line import CommandLine
from tests.support.service import Service


@pytest.fixture
def command_line(tmp_path: Path, database_url: str) -> CommandLine:
    """The command line with an `.env` and a migrated database of its own."""
    return CommandLine(tmp_path, database_url)


@pytest.mark.anyio
async def test_a_public_client_has_no_secret(service: Service) -> None:
    """Null, and there is none to rotate."""
    _, admin = await service.signed_in(Role.ADMIN)
    body = (await add(service, admin, WEB | {"confidential": False, "first_party": True})).json()
    assert (body["client_secret"], body["secret_issued_at"], body["confidential"]) == (None, None, False)
    assert (body["grants"], body["first_party"]) == (["authorization_code", "refresh_token"], True)
    answer = await service.client.post(f"{URL}/{body['id']}/secret", headers=admin.bearer)
    assert answer.status_code == 409


def test_a_public_client_is_added_without_a_secret(command_line: CommandLine) -> None:
    """The command shows its name alone; the list says what it is, and where browsers are sent back to."""
    public = added(command_line, *ADD_WEB, "--public", "--first-party")
    assert set(public) == {"client_id"}
    assert set(added(command_line, *ADD_WEB)) == {"client_id", "client_secret"}
    code, out, _ = command_line("clients", "list")
    lines = [line.split("\t") for line in out.splitlines()]
    assert (code, [line[2] for line in lines]) == (0, ["confidential", "public, first-party"])
    assert lines[1][:2] == [public["client_id"], "Web"]
    assert lines[1][3:] == ["authorization_code refresh_token", "account:read", "https://app.example/cb"]
