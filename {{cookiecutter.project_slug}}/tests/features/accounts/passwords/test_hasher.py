"""The hashing of passwords: what it takes, what it costs, and what it does not tell."""

import asyncio
import json
import os
import random
import threading
import time
from itertools import combinations
from pathlib import Path
from uuid import UUID

import httpx2
import pytest
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr
from sqlalchemy import select, update

from app.access.roles import Role
from app.core.database.database import Database
from app.core.errors import Unavailable
from app.features.accounts.models import User
from app.features.accounts.passwords.hasher import AcceptedPassword, PasswordHasher
from tests.support.http.timing import rank_statistic
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.owasp_argon2id]

APP = Path(__file__).resolve().parents[4] / "app"
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
QUEUE = 100
PASSWORD = "seven green lamps sing"
WEAK = Argon2Hasher(memory_cost=64, time_cost=1, parallelism=1)


class CountingHasher(Argon2Hasher):
    """Real argon2id that counts how many run at once."""

    def __init__(self) -> None:
        super().__init__(memory_cost=8192, time_cost=1, parallelism=1)
        self.lock = threading.Lock()
        self.running = self.most = self.done = 0

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002  # the name in the base
        """Verify, and count."""
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            return super().verify(password, hash)
        finally:
            with self.lock:
                self.running -= 1
                self.done += 1


async def store(service: Service, user_id: UUID, password_hash: str | None) -> None:
    """Put a hash, or none, into the row of an account."""
    async with service[Database].transaction() as db:
        await db.execute(update(User).where(User.id == user_id).values(password_hash=password_hash))


async def stored(service: Service, user_id: UUID) -> str | None:
    """The hash in the row of an account."""
    async with service[Database].read() as db:
        password_hash: str | None = await db.scalar(select(User.password_hash).where(User.id == user_id))
    return password_hash


@pytest.mark.asvs("15.2.2", "15.1.3")
async def test_a_flood_of_sign_ins_is_shed_and_others_are_served(
    service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    """Beyond the queue 503 with `Retry-After` and an event; meanwhile other requests get answers."""
    many = CORES + QUEUE + 40
    person = await service.person()
    # As costly as it takes for the flood to come faster than it is worked off, on any number of cores.
    await store(service, person.id, Argon2Hasher(memory_cost=19456, time_cost=2 * CORES, parallelism=1).hash(PASSWORD))
    flood = asyncio.gather(*(service.try_sign_in(person.email, "wrong") for _ in range(many)))
    served = 0
    while not flood.done():
        assert (await service.client.get("/livez")).status_code == 200
        served += not flood.done()
        await asyncio.sleep(0.05)
    answers = await flood
    shed = [answer for answer in answers if answer.status_code == 503]
    assert len(shed) in range(1, 41)
    assert sum(answer.status_code == 401 for answer in answers) == many - len(shed)
    assert {answer.headers["Retry-After"] for answer in shed} == {"5"}
    assert served > 3
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines() if "hashing_shed" in line]
    assert [(event["outcome"], event["waiting"]) for event in events] == [("denied", QUEUE)] * len(shed)
    assert (await service.try_sign_in("1@people.example", "wrong")).status_code == 401


@pytest.mark.asvs("15.2.2")
async def test_no_more_hashes_run_at_once_than_there_are_cores() -> None:
    """However many wait; and those beyond the queue are refused at once, not queued."""
    counting = CountingHasher()
    hasher = PasswordHasher(counting, queue_length=30)
    password = SecretStr(PASSWORD)
    right = await hasher.hash(AcceptedPassword(password))
    results = await asyncio.gather(*(hasher.verify(password, right) for _ in range(60)), return_exceptions=True)
    await hasher.pool.close()
    refused = [result for result in results if isinstance(result, Unavailable)]
    assert len(refused) == 60 - 30 - CORES
    assert counting.done == 30 + CORES
    assert counting.most <= CORES


@pytest.mark.asvs("11.4.2")
async def test_a_weaker_hash_is_replaced_at_the_next_sign_in(service: Service) -> None:
    """By one of today's parameters, for whoever knows the password alone."""
    person = await service.person(password=PASSWORD)
    weak = WEAK.hash(PASSWORD)
    await store(service, person.id, weak)
    assert (await service.try_sign_in(person.email, "another password")).status_code == 401
    assert await stored(service, person.id) == weak
    await service.sign_in(person)
    strong = await stored(service, person.id)
    assert strong is not None
    assert strong.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await service.sign_in(person)
    assert await stored(service, person.id) == strong


async def test_an_account_without_a_password_opens_for_none(service: Service) -> None:
    """With the answer that a wrong password gets, and not for the password that nobody has either."""
    person, other = await service.person(), await service.person()
    await store(service, person.id, None)
    wrong = await service.try_sign_in(other.email, "wrong")
    for password in (person.password, "nobody has this password", "None"):
        answer = await service.try_sign_in(person.email, password)
        assert (answer.status_code, answer.json()["detail"]) == (401, wrong.json()["detail"])
        assert set(answer.headers) == set(wrong.headers)


@pytest.mark.asvs("6.2.8", "6.2.9")
async def test_a_password_is_verified_exactly_as_it_was_set(service: Service) -> None:
    """No case is folded, nothing trimmed, and nothing cut off: neither after 72 bytes nor at the longest."""
    start = " Zwölf Boxkämpfer jagen Eva quer über den großen Sylter Deich"
    password = (start + ", und fünf weitere schöne Wörter, die für über 72 Bytes genügen: Äpfel, Öl, Übermut")[:128]
    person = await service.person(password=password)
    await service.sign_in(person)
    last, middle = ("x" if password[-1] != "x" else "y"), ("x" if password[70] != "x" else "y")
    for other in (
        password.swapcase(),
        password.lower(),
        f"{password} ",
        f" {password}",
        password.strip(),
        password[:-1],
        password[:-1] + last,
        password[:70] + middle + password[71:],
        password.encode()[:72].decode(errors="ignore"),
    ):
        assert other != password
        assert (await service.try_sign_in(person.email, other)).status_code == 401


async def sign_in_time(service: Service, email: str, password: str) -> float:
    """How long a sign-in takes that fails."""
    begin = time.perf_counter()
    answer: httpx2.Response = await service.try_sign_in(email, password)
    assert answer.status_code == 401
    return time.perf_counter() - begin


@pytest.mark.asvs("6.3.8")
async def test_unknown_wrong_disabled_and_without_a_password_take_the_same_time(service: Service) -> None:
    """A rank statistic over interleaved attempts; more of them where chance, not a difference, moved it."""
    person, disabled, bare = [await service.person() for _ in range(3)]
    _, admin = await service.signed_in(Role.ADMIN)
    await service.client.patch(f"/api/v1/users/{disabled.id}", json={"disabled": True}, headers=admin.bearer)
    await store(service, bare.id, None)
    kinds = {
        "unknown": ("nobody@people.example", person.password),
        "wrong": (person.email, "not the right password"),
        "disabled": (disabled.email, disabled.password),
        "without": (bare.email, bare.password),
    }
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(4):
        for _ in range(40):
            for kind in random.sample(list(kinds), len(kinds)):
                times[kind].append(await sign_in_time(service, *kinds[kind]))
        ranks = {pair: rank_statistic(times[pair[0]], times[pair[1]]) for pair in combinations(kinds, 2)}
        if all(0.4 < rank < 0.6 for rank in ranks.values()):
            return
    pytest.fail(f"can be told apart: {ranks}")
