"""After a change of the key: everything opens, and is sealed anew in batches."""

import asyncio
import secrets
from typing import Any

import pytest

from app.core.database.database import Database
from app.features.vault.service import VaultService
from tests.conftest import StartService
from tests.features.vault.steps import PATH, base64, kept, reveal
from tests.features.vault.test_sealed import flipped, overwrite, stored
from tests.support.service import Service, Tokens

pytestmark = pytest.mark.anyio

OLD, NEW = secrets.token_urlsafe(64), secrets.token_urlsafe(64)


async def reseal(service: Service, limit: int) -> int:
    """One batch, in a transaction of its own."""
    async with service[Database].transaction() as db:
        return int(await service[VaultService].reseal(db, limit=limit))


async def keep_five(service: Service, tokens: Tokens) -> list[str]:
    """Five secrets: with a text, with bytes, with both."""
    data = base64(b"bytes")
    values: list[dict[str, Any]] = [{}, {"secret_string": None, "secret_bytes": data}, {"secret_bytes": data}]
    return [await kept(service, tokens, name=f"number {number}", **values[number % 3]) for number in range(5)]


@pytest.mark.asvs("11.2.2")
async def test_seals_in_batches_what_the_old_key_sealed(start: StartService) -> None:
    """Not more than the limit at once, each secret once; afterwards the old key is not needed."""
    async with start(secret_key=OLD) as service:
        person, tokens = await service.signed_in()
        paths = await keep_five(service, tokens)
        before = [(await reveal(service, tokens, path)).json() for path in paths]
        assert await reseal(service, 100) == 0
    async with start(secret_key=NEW, secret_key_fallbacks=[OLD]) as service:
        await service.client.patch(paths[0], json={"name": "changed"}, headers=tokens.bearer)
        shown = (await service.client.get(PATH, headers=tokens.bearer)).json()
        assert [await reseal(service, 2) for _ in range(4)] == [2, 2, 1, 0]
        assert (await service.client.get(PATH, headers=tokens.bearer)).json() == shown
    async with start(secret_key=NEW) as service:
        tokens = await service.sign_in(person)
        assert [(await reveal(service, tokens, path)).json() for path in paths] == before
        assert (await service.client.get(PATH, headers=tokens.bearer)).json() == shown


async def test_a_batch_that_is_rolled_back_is_done_again(start: StartService) -> None:
    """Killed in the middle, nothing is lost and nothing is forgotten."""
    async with start(secret_key=OLD) as service:
        _, tokens = await service.signed_in()
        paths = await keep_five(service, tokens)
    async with start(secret_key=NEW, secret_key_fallbacks=[OLD]) as service:
        async with service[Database].transaction() as db:
            assert await service[VaultService].reseal(db, limit=3) == 3
            await db.rollback()
        assert await reseal(service, 100) == 5
        assert (await reveal(service, tokens, paths[0])).status_code == 200


async def test_what_does_not_open_stays_and_holds_nothing_up(
    start: StartService, capsys: pytest.CaptureFixture[str]
) -> None:
    """More broken secrets than a batch has places: all others are sealed anew, and an event names each of those."""
    async with start(secret_key=OLD) as service:
        _, tokens = await service.signed_in()
        paths = await keep_five(service, tokens)
        broken = sorted(paths)[:3]
        rows = []
        for path in broken:
            rows.append({"name": flipped((await stored(service, path))["name"], 20)})
            await overwrite(service, path, **rows[-1])
    async with start(secret_key=NEW, secret_key_fallbacks=[OLD]) as service:
        capsys.readouterr()
        assert [await reseal(service, 2) for _ in range(2)] == [2, 0]
        assert capsys.readouterr().out.count("secret_unreadable") == 6
        for path, row in zip(broken, rows, strict=True):
            assert (await stored(service, path))["name"] == row["name"]


async def test_a_change_at_the_same_time_is_not_lost(start: StartService) -> None:
    """Whichever comes first: the secret has the new value, sealed with the new key."""
    async with start(secret_key=OLD) as service:
        person, tokens = await service.signed_in()
        paths = await keep_five(service, tokens)
    async with start(secret_key=NEW, secret_key_fallbacks=[OLD]) as service:
        changes = [service.client.patch(path, json={"secret_string": "new"}, headers=tokens.bearer) for path in paths]
        *answers, _, _ = await asyncio.gather(*changes, reseal(service, 3), reseal(service, 3))
        assert [getattr(answer, "status_code", None) for answer in answers] == [200] * 5
        await reseal(service, 100)
    async with start(secret_key=NEW) as service:
        tokens = await service.sign_in(person)
        revealed = [(await reveal(service, tokens, path)).json()["secret_string"] for path in paths]
        assert revealed == ["new"] * 5
