"""At rest: nothing in clear, and nothing that was altered or moved opens."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.core.database.database import Base, Database
from app.features.vault.models import Secret
from tests.conftest import StartService
from tests.features.vault.steps import MASK, PATH, base64, canary, kept, reveal
from tests.support.service import Service

pytestmark = pytest.mark.anyio

Row = dict[str, Any]


def id_of(path: str) -> UUID:
    """The id at the end of a path."""
    return UUID(path.rsplit("/", 1)[1])


async def stored(service: Service, path: str) -> Row:
    """What the database holds of a secret."""
    table = Base.metadata.tables["secrets"]
    async with service[Database].read() as db:
        return dict((await db.execute(select(table).where(table.c.id == id_of(path)))).mappings().one())


async def overwrite(service: Service, path: str, **columns: object) -> None:
    """Change the database behind the service's back."""
    async with service[Database].transaction() as db:
        await db.execute(update(Secret).where(Secret.id == id_of(path)).values(**columns))


@pytest.mark.asvs("14.1.2", "11.3.3")
async def test_nothing_is_in_clear_at_rest(start: StartService, tmp_path: Path) -> None:
    """Neither name nor value, in no row of any table, nor in the files of the database."""
    name, text, data = canary(), canary(), canary().encode()
    async with start() as service:
        _, tokens = await service.signed_in()
        path = await kept(service, tokens, name=name, secret_string=text, secret_bytes=base64(data))
        await service.client.patch(path, json={"secret_string": text}, headers=tokens.bearer)
        held = [file.read_bytes() for file in tmp_path.glob("test.db*")]
        async with service[Database].read() as db:
            for table in Base.metadata.tables.values():
                held += [repr(tuple(row)).encode() for row in await db.execute(select(table))]
    assert any(str(id_of(path)).encode() in part for part in held)
    for value in (name.encode(), text.encode(), data, base64(data).encode()):
        assert not any(value in part for part in held)


def flipped(sealed: bytes, place: int) -> bytes:
    """The value with one bit of one byte turned over."""
    return sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]


def swap_columns(mine: Row, _: Row) -> Row:
    """The text in the place of the bytes, and the other way round."""
    return {"secret_string": mine["secret_bytes"], "secret_bytes": mine["secret_string"]}


def name_for_value(mine: Row, _: Row) -> Row:
    """The name in the place of the text."""
    return {"secret_string": mine["name"]}


def other_row(_: Row, other: Row) -> Row:
    """The value of another secret of the same user."""
    return {"secret_string": other["secret_string"]}


def cut(mine: Row, _: Row) -> Row:
    """The value without its last byte."""
    return {"secret_bytes": mine["secret_bytes"][:-1]}


def emptied(_: Row, __: Row) -> Row:
    """No bytes at all, which is not the same as no value."""
    return {"secret_bytes": b""}


@pytest.mark.asvs("11.3.3", "16.5.1", "16.5.3")
@pytest.mark.parametrize("tamper", [swap_columns, name_for_value, other_row, cut, emptied], ids=lambda it: it.__name__)
async def test_a_value_that_was_moved_or_altered_is_refused(
    service: Service, tamper: Callable[[Row, Row], Row], capsys: pytest.CaptureFixture[str]
) -> None:
    """A plain 500 that tells nothing, an event that names the secret, and everything else goes on."""
    person, tokens = await service.signed_in()
    path, other = [
        await kept(service, tokens, secret_string=canary(), secret_bytes=base64(canary().encode())) for _ in range(2)
    ]
    await overwrite(service, path, **tamper(await stored(service, path), await stored(service, other)))
    capsys.readouterr()
    answer = await reveal(service, tokens, path)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["detail"] == "The secret cannot be read."
    (event,) = (line for line in lines if line["logger"] == "security")
    assert (event["event"], event["outcome"]) == ("secret_unreadable", "failure")
    assert (event["user_id"], event["target_id"]) == (str(person.id), str(id_of(path)))
    assert "Traceback" not in str(lines)
    assert (await reveal(service, tokens, other)).status_code == 200
    assert (await service.client.get(path, headers=tokens.bearer)).json()["secret_string"] == MASK
    assert (await service.client.delete(path, headers=tokens.bearer)).status_code == 204


@pytest.mark.asvs("11.3.3", "8.2.2")
async def test_a_secret_that_is_given_to_another_owner_does_not_open(service: Service) -> None:
    """Who writes into the database makes a row their own, but not what is in it."""
    _, victim = await service.signed_in()
    thief, tokens = await service.signed_in()
    path = await kept(service, victim, name=canary())
    await overwrite(service, path, user_id=thief.id)
    shown = (await service.client.get(path, headers=tokens.bearer)).json()
    assert (shown["name"], shown["secret_string"]) == (None, MASK)
    assert (await reveal(service, tokens, path)).status_code == 500
    copied = await kept(service, tokens)
    row = await stored(service, path)
    await overwrite(service, copied, name=row["name"], secret_string=row["secret_string"])
    assert (await reveal(service, tokens, copied)).status_code == 500


@pytest.mark.asvs("11.3.3")
async def test_no_byte_of_a_value_can_be_altered(service: Service) -> None:
    """Key id, nonce, ciphertext and tag: each byte counts, and the value as it was opens again."""
    _, tokens = await service.signed_in()
    path = await kept(service, tokens, secret_string="x")
    sealed = (await stored(service, path))["secret_string"]
    for place in range(len(sealed)):
        await overwrite(service, path, secret_string=flipped(sealed, place))
        assert (await reveal(service, tokens, path)).status_code == 500
    await overwrite(service, path, secret_string=sealed)
    assert (await reveal(service, tokens, path)).json()["secret_string"] == "x"


async def test_a_broken_name_hides_no_other_secret(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    """The list shows the secret without it, each time with an event, and a new name heals it."""
    _, tokens = await service.signed_in()
    path, _ = await kept(service, tokens, name="first"), await kept(service, tokens, name="second")
    await overwrite(service, path, name=flipped((await stored(service, path))["name"], 20))
    capsys.readouterr()
    items = (await service.client.get(PATH, headers=tokens.bearer)).json()["items"]
    assert [item["name"] for item in items] == ["second", None]
    assert capsys.readouterr().out.count("secret_unreadable") == 1
    healed = await service.client.patch(path, json={"name": "healed"}, headers=tokens.bearer)
    assert (healed.status_code, healed.json()["name"]) == (200, "healed")
    assert (await reveal(service, tokens, path)).status_code == 200


async def test_the_same_value_looks_different_each_time(service: Service) -> None:
    """Who reads the database does not see who keeps the same."""
    _, tokens = await service.signed_in()
    rows = [await stored(service, await kept(service, tokens)) for _ in range(2)]
    assert rows[0]["name"] != rows[1]["name"]
    assert rows[0]["secret_string"] != rows[1]["secret_string"]
