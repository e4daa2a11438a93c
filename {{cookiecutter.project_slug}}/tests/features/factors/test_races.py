"""Many answers at one moment: all of them wait for the same lock, and are let go together."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import httpx2
import pytest
from limits import RateLimitItemPerMinute
from sqlalchemy import select

from app.core.database.database import Database
from app.features.accounts.models import User
from app.features.accounts.service import AccountService
from app.features.factors.service import Factor, FactorService
from tests.conftest import StartService
from tests.features.factors.passkeys.steps import answer_by, asked, options_of, with_passkey
from tests.features.factors.steps import answer_with, challenged, with_app
from tests.support.service import Service

pytestmark = pytest.mark.anyio

MANY, MOST = 50, 40


async def together(other: Service, lock: Any, requests: Sequence[Awaitable[httpx2.Response]]) -> list[int]:
    """The statuses of requests that wait for what `other` has locked; none is answered before."""
    async with other[Database].transaction() as db:
        await db.execute(lock.with_for_update())
        answers = [asyncio.ensure_future(request) for request in requests]
        done, _ = await asyncio.wait(answers, timeout=1)
        assert not done
    return [answer.status_code for answer in await asyncio.gather(*answers)]


def counted(monkeypatch: pytest.MonkeyPatch, kind: type[Any], name: str) -> list[None]:
    """One entry for each call of a method."""
    calls, method = list[None](), getattr(kind, name)

    def note(*arguments: Any) -> Any:
        calls.append(None)
        return method(*arguments)

    monkeypatch.setattr(kind, name, note)
    return calls


@pytest.mark.asvs("6.5.1", "2.3.4")
@pytest.mark.parametrize("kind", ["totp", "recovery_codes", "passkey"])
async def test_one_answer_to_fifty_challenges_is_one_sign_in(
    start: StartService, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """One code, or one count of a passkey: no limit is in the way, so that the check itself has to tell them apart."""
    monkeypatch.setattr("app.features.signin.limits._ANSWERS", RateLimitItemPerMinute(2 * MANY, 15))
    async with start() as service, start() as other:
        if kind == "passkey":
            owner = await with_passkey(service)
            person, count = owner.person, owner.passkey.count + 1
            each = [await asked(service, person) for _ in range(MANY)]
            requests = [
                answer_by(service, challenge, owner.passkey.get(options_of(challenge), count=count))
                for challenge in each
            ]
        else:
            enrolled = await with_app(service)
            person, code = enrolled.person, enrolled.app.code() if kind == "totp" else enrolled.codes[3]
            challenges = [await challenged(service, person) for _ in range(MANY)]
            requests = [answer_with(service, challenge, code, kind) for challenge in challenges]
        checks = counted(monkeypatch, FactorService, "use")
        statuses = await together(other, select(User).where(User.id == person.id), requests)
    assert len(checks) >= MOST
    assert (statuses.count(200), statuses.count(401)) == (1, MANY - 1)


@pytest.mark.asvs("2.3.1", "2.3.4", "6.5.1")
@pytest.mark.parametrize("alone", [True, False])
async def test_fifty_copies_of_an_answer_to_one_challenge_are_one_sign_in(
    start: StartService, monkeypatch: pytest.MonkeyPatch, *, alone: bool
) -> None:
    """A passkey without a counter is right each time: what opens one session is the challenge."""
    async with start() as service, start() as other:
        owner = await with_passkey(service, counts=False)
        challenge = await asked(service, None if alone else owner.person)
        credential = owner.passkey.get(options_of(challenge))
        advances = counted(monkeypatch, AccountService, "lock_active")
        requests = [answer_by(service, challenge, credential) for _ in range(MANY)]
        statuses = await together(other, select(User).where(User.id == owner.person.id), requests)
    assert len(advances) >= MOST
    assert (statuses.count(200), statuses.count(401)) == (1, MANY - 1)


@pytest.mark.asvs("2.3.1", "2.3.4")
async def test_passkeys_of_two_users_at_once_open_one_session(start: StartService) -> None:
    """A challenge of nobody: neither waits for the account of the other, and both answers are right."""
    async with start() as service, start() as other:
        owners = [await with_passkey(service, counts=False) for _ in range(2)]
        challenge = await asked(service)
        requests = [answer_by(service, challenge, owner.passkey.get(options_of(challenge))) for owner in owners]
        assert sorted(await together(other, select(Factor), requests)) == [200, 401]


@pytest.mark.asvs("2.3.1", "2.3.4")
async def test_two_kinds_at_once_open_one_session(start: StartService) -> None:
    """A code of the app and two recovery codes, each right, for the challenge of one password."""
    async with start() as service, start() as other:
        enrolled = await with_app(service)
        challenge = await challenged(service, enrolled.person)
        requests = [answer_with(service, challenge, enrolled.app.code())]
        requests += [answer_with(service, challenge, code, "recovery_codes") for code in enrolled.codes[:2]]
        lock = select(User).where(User.id == enrolled.person.id)
        assert sorted(await together(other, lock, requests)) == [200, 401, 401]
