"""`app/features/signin/limits.py`: what is counted, and that no answer over a limit depends on the account."""

import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.access.roles import Role
from app.features.accounts.passwords.hasher import PasswordHasher
from tests.conftest import StartService
from tests.support.api.account_mail import PASSWORD, Post
from tests.support.http.timing import ALIKE, tell_apart
from tests.support.records.mail import Mailbox
from tests.support.service import Person, Service

pytestmark = pytest.mark.anyio

LIMIT = 3
WRONG = "not the right password"
EMAIL = "ada@people.example"
SHARED = "192.0.2.1"
NETWORK, SAME_NETWORK, OTHER_NETWORK = "2001:db8:1:2::1", "2001:db8:1:2:a:b:c:d", "2001:db8:1:3::1"


def at(ip: str) -> dict[str, Any]:
    """The options of a request that comes from the address."""
    return {"headers": {"X-Forwarded-For": ip}}


async def attempt(service: Service, email: str, ip: str, password: str = WRONG) -> int:
    """Try to sign in: the status."""
    return (await service.try_sign_in(email, password, **at(ip))).status_code


async def lock(service: Service, email: str) -> None:
    """Use up the attempts for a mailbox, each from a network of its own."""
    for number in range(LIMIT):
        assert await attempt(service, email, f"198.51.100.{number}") == 401


async def _unknown(post: Post, email: str) -> None:
    """Nobody has the address."""


async def _waiting(post: Post, email: str) -> None:
    await post("/accounts", {"email": email, "password": PASSWORD}, **at("203.0.113.5"))


async def _known(post: Post, email: str) -> None:
    await post.service.person(email=email, password=PASSWORD)


async def _at_home(post: Post, email: str) -> None:
    person = await post.service.person(email=email, password=PASSWORD)
    await post.service.sign_in(person, **at(SHARED))


async def _disabled(post: Post, email: str) -> None:
    await _at_home(post, email)
    admin = await post.service.person(Role.ADMIN)
    bearer = (await post.service.sign_in(admin, **at("203.0.113.6"))).bearer
    users = (await post.service.client.get("/api/v1/users", params={"q": email}, headers=bearer)).json()["items"]
    path = f"/api/v1/users/{users[0]['id']}"
    assert (await post.service.client.patch(path, json={"disabled": True}, headers=bearer)).status_code == 200


STANDINGS: list[Callable[[Post, str], Awaitable[None]]] = [_unknown, _waiting, _known, _at_home, _disabled]


async def look(service: Service, email: str, password: str, hashed: list[bool], ip: str = SHARED) -> tuple[Any, ...]:
    """What an attempt shows: the answer, and whether a password was hashed, which is most of its time."""
    hashed.clear()
    answer = await service.try_sign_in(email, password, **at(ip))
    body = {key: value for key, value in answer.json().items() if key != "request_id"}
    waits = round(int(answer.headers.get("Retry-After", "0")) / 100)  # seconds pass between the rows
    return answer.status_code, body, sorted(answer.headers), waits, len(hashed)


async def seen_by_others(post: Post, make: Callable[[Post, str], Awaitable[None]], hashed: list[bool]) -> list[Any]:
    """What somebody with many networks, one of them the owner's, sees before and after the address is registered."""
    email = f"{make.__name__}@people.example"
    await make(post, email)
    before = [*(f"198.51.100.{number}" for number in range(LIMIT)), SHARED]
    after = ["198.51.100.100", "198.51.100.101", *[SHARED] * 3 * LIMIT]
    seen = [await look(post.service, email, WRONG, hashed, ip) for ip in before]
    await post("/accounts", {"email": email, "password": PASSWORD}, **at("203.0.113.7"))
    return seen + [await look(post.service, email, WRONG, hashed, ip) for ip in after]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """One entry for each password that is looked at."""
    looked: list[bool] = []
    verify = PasswordHasher._verify  # noqa: SLF001  # every look goes through it

    def note(self: PasswordHasher, password: str, stored: str) -> Any:
        looked.append(True)
        return verify(self, password, stored)

    monkeypatch.setattr(PasswordHasher, "_verify", note)
    return looked


@pytest.mark.asvs("6.3.8")
async def test_no_standing_of_an_account_shows_in_the_limits(
    start: StartService, mailbox: Mailbox, hashed: list[bool]
) -> None:
    """Unknown, unconfirmed, known, at home in the very network, disabled: one sequence of answers, and of hashes."""
    sequences = []
    for make in STANDINGS:
        async with start(rate_limit_signin=f"{LIMIT}/hour", trusted_proxies="127.0.0.1") as service:
            sequences.append(await seen_by_others(Post(service, mailbox), make, hashed))
    for make, sequence in zip(STANDINGS, sequences, strict=True):
        assert sequence == sequences[0], make.__name__
    assert [status for status, *_ in sequences[0]] == [401] * LIMIT + [429] * (3 + 3 * LIMIT)
    assert [hashes for *_, hashes in sequences[0]] == [1] * (LIMIT + 3 + 2 * LIMIT - 1) + [0] * (LIMIT + 1)


@pytest.mark.asvs("6.3.8")
async def test_over_the_limit_nothing_tells_that_a_password_is_right(start: StartService, hashed: list[bool]) -> None:
    """From elsewhere it is looked at, and refused as a wrong one of nobody's is."""
    async with start(rate_limit_signin=f"{LIMIT}/hour", trusted_proxies="127.0.0.1") as service:
        person = await service.person()
        for _ in range(LIMIT):
            await attempt(service, "x@people.example", SHARED)
        tries = [(person.email, person.password), (person.email, WRONG), ("y@people.example", WRONG)]
        looks = [await look(service, email, password, hashed) for email, password in tries]
        assert looks == [looks[0]] * 3
        assert (looks[0][0], looks[0][-1]) == (429, 1)


@pytest.mark.asvs("6.3.8")
async def test_over_the_limit_the_time_does_not_tell_either(start: StartService) -> None:
    """The right password of an account from elsewhere against an address that nobody has."""
    async with start(rate_limit_signin="500/hour") as service:
        person, numbers = await service.person(), itertools.count()
        for _ in range(500):
            await service.try_sign_in("x@people.example", WRONG)

        async def refused(email: str, password: str) -> None:
            assert (await service.try_sign_in(email, password)).status_code == 429

        found = await tell_apart(
            lambda: refused(person.email, person.password), lambda: refused(f"{next(numbers)}@people.example", WRONG)
        )
        assert found < ALIKE


@pytest.mark.asvs("6.3.1")
async def test_passwords_are_looked_at_three_times_as_often_as_the_limit_says(
    start: StartService, hashed: list[bool]
) -> None:
    """And no more: what one network makes the service hash is bounded, whatever mailboxes it names."""
    async with start(rate_limit_signin=f"{LIMIT}/hour", trusted_proxies="127.0.0.1") as service:
        for number in range(5 * LIMIT):
            await attempt(service, f"{number % 4}@people.example", NETWORK)
        assert len(hashed) == 3 * LIMIT
        assert await attempt(service, EMAIL, OTHER_NETWORK) == 401


@pytest.mark.asvs("6.3.1")
async def test_the_owner_gets_in_at_home_while_others_use_up_the_limits(start: StartService) -> None:
    """Attacks from elsewhere, and a neighbour who tries other mailboxes, do not keep the right password out."""
    async with start(rate_limit_signin=f"{LIMIT}/hour", trusted_proxies="127.0.0.1") as service:
        person = await service.person()
        await service.sign_in(person, **at(SHARED))
        await lock(service, person.email)
        for _ in range(LIMIT):
            assert await attempt(service, "neighbour@people.example", SHARED) == 401
        for _ in range(5 * LIMIT):
            await service.sign_in(person, **at(SHARED))
        assert await attempt(service, person.email, "203.0.113.1", person.password) == 429


@pytest.mark.asvs("6.3.1")
async def test_home_is_the_64_of_an_ipv6_address(start: StartService) -> None:
    """With another privacy address the owner is at home; in another network they are not."""
    async with start(rate_limit_signin=f"{LIMIT}/hour", trusted_proxies="127.0.0.1") as service:
        person = await service.person()
        await service.sign_in(person, **at(NETWORK))
        await lock(service, person.email)
        assert await attempt(service, person.email, OTHER_NETWORK, person.password) == 429
        await service.sign_in(person, **at(SAME_NETWORK))


@pytest.mark.asvs("6.3.1")
async def test_a_reset_forgets_every_home_but_its_own(start: StartService, mailbox: Mailbox) -> None:
    """Where an attacker signed in before, even the new password is refused over the limit."""
    async with start(rate_limit_signin=f"{LIMIT}/hour", trusted_proxies="127.0.0.1") as service:
        post, person = Post(service, mailbox), await service.person()
        await service.sign_in(person, **at("203.0.113.66"))
        await post.forgot(person.email)
        assert await post.reset(await post.token(person.email), **at(SHARED)) == 204
        await lock(service, person.email)
        assert await attempt(service, person.email, "203.0.113.66", PASSWORD) == 429
        await service.sign_in(Person(person.id, person.email, PASSWORD), **at(SHARED))


@pytest.mark.asvs("6.3.1")
async def test_a_change_of_password_forgets_every_home_but_its_own(start: StartService) -> None:
    """As a reset does: who knew the old password has no advantage for the new one."""
    async with start(rate_limit_signin=f"{LIMIT}/hour", trusted_proxies="127.0.0.1") as service:
        person = await service.person()
        await service.sign_in(person, **at("203.0.113.66"))
        bearer = (await service.sign_in(person, **at(SHARED))).bearer
        answer = await service.client.post(
            "/api/v1/users/me/password",
            json={"current_password": person.password, "new_password": PASSWORD},
            headers=bearer | at(SHARED)["headers"],
        )
        assert answer.status_code == 204
        await lock(service, person.email)
        assert await attempt(service, person.email, "203.0.113.66", PASSWORD) == 429
        await service.sign_in(Person(person.id, person.email, PASSWORD), **at(SHARED))


@pytest.mark.asvs("6.3.1", "6.3.4")
async def test_after_a_reset_the_owner_gets_past_every_lock(start: StartService, mailbox: Mailbox) -> None:
    """From a network that is refused before anything is hashed; and whoever else tries there sees 429 as before."""
    async with start(rate_limit_signin=f"{LIMIT}/hour", trusted_proxies="127.0.0.1") as service:
        post, person = Post(service, mailbox), await service.person()
        await lock(service, person.email)
        for _ in range(4 * LIMIT):
            await attempt(service, person.email, SHARED)
        await service.client.post("/api/v1/accounts/password/forgot", json={"email": person.email})
        assert await post.reset(await post.token(person.email), **at(SHARED)) == 204
        for email in (person.email, "other@people.example"):
            assert await attempt(service, email, SHARED) == 429
        await service.sign_in(Person(person.id, person.email, PASSWORD), **at(SHARED))


@pytest.mark.asvs("6.3.8", "6.3.1")
async def test_a_registration_resets_no_count(start: StartService, mailbox: Mailbox) -> None:
    """A locked address stays locked when somebody registers and confirms it."""
    async with start(rate_limit_signin=f"{LIMIT}/hour", trusted_proxies="127.0.0.1") as service:
        post = Post(service, mailbox)
        await lock(service, EMAIL)
        await post.register(EMAIL)
        assert await attempt(service, EMAIL, SHARED, PASSWORD) == 429
        assert await post.verify(await post.token(EMAIL)) == 204
        assert await attempt(service, EMAIL, SHARED, PASSWORD) == 429


@pytest.mark.asvs("6.3.1")
async def test_a_reset_gives_no_guesses_against_a_neighbour(
    start: StartService, mailbox: Mailbox, hashed: list[bool]
) -> None:
    """From a network far over the limit, who reset a password signs in; no other password is looked at there."""
    async with start(rate_limit_signin=f"{LIMIT}/hour", trusted_proxies="127.0.0.1") as service:
        post, neighbour, attacker = Post(service, mailbox), await service.person(), await service.person()
        await service.sign_in(neighbour, **at(SHARED))
        for _ in range(4 * LIMIT):
            await attempt(service, attacker.email, SHARED)
        await post.forgot(attacker.email)
        assert await post.reset(await post.token(attacker.email), **at(SHARED)) == 204
        hashed.clear()
        assert await attempt(service, neighbour.email, SHARED, neighbour.password) == 429
        assert hashed == []
        await service.sign_in(Person(attacker.id, attacker.email, PASSWORD), **at(SHARED))
        for _ in range(2 * LIMIT):
            await attempt(service, attacker.email, SHARED)
        hashed.clear()
        assert await attempt(service, attacker.email, SHARED) == 429
        assert hashed == []
