"""Alerts: the owner of an account is told by mail what happens to it, unless they have switched that off."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import delete, func, select

from app.access.roles import Role
from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.mail.outbox import OutboxMail
from app.features.sessions.models import Session
from tests.conftest import StartService
from tests.support.api.account_mail import PASSWORD, TOKEN, Post, with_the_texts_for_clients
from tests.support.api.oauth import issue_to, register
from tests.support.records.mail import Mailbox, bodies
from tests.support.service import Person, Tokens, tokens_of

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("6.3.5", "6.3.7")]

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0"
HOME, AWAY = "192.0.2.1", "203.0.113.9"
NETWORK, SAME_NETWORK, OTHER_NETWORK = "2001:db8:1:2::1", "2001:db8:1:2:aaaa::1", "2001:db8:1:3::1"
ME = "/api/v1/users/me"
ALERTS = ["account_disabled", "new_application", "new_device", "roles_changed"]


@pytest.fixture
async def post(start: StartService, mailbox: Mailbox) -> AsyncIterator[Post]:
    """People who sign in from the address that a trusted proxy names, and read their mail."""
    async with start(trusted_proxies="127.0.0.1") as service:
        yield with_the_texts_for_clients(Post(service, mailbox))


async def sign_in(post: Post, person: Person, ip: str = HOME, program: str = "a program") -> Tokens:
    """Sign somebody in, from somewhere, with something."""
    return await post.service.sign_in(person, headers={"X-Forwarded-For": ip, "User-Agent": program})


async def mails(post: Post) -> int:
    """How many mails there are for anybody, delivered or not."""
    async with post.service[Database].read() as db:
        return await db.scalar(select(func.count()).select_from(OutboxMail)) or 0


async def mute(post: Post, tokens: Tokens, alerts: list[str] | None) -> None:
    """Switch alerts off, and all others on."""
    answer = await post.service.client.patch(ME, json={"muted_alerts": alerts}, headers=tokens.bearer)
    assert answer.status_code == 200, answer.text
    assert answer.json()["muted_alerts"] == sorted(alerts or [])


async def test_tells_of_a_sign_in_from_a_new_device(post: Post) -> None:
    """When, where and with what, and what to do; never a token. Not of the first device, nor twice of any."""
    person = await post.service.person()
    for _ in range(2):
        await sign_in(post, person)
    assert await mails(post) == 0
    for _ in range(2):
        await sign_in(post, person, AWAY, "curl/8.5.0")
    (message,) = await post.mailbox.wait(person.email)
    assert message["Subject"].endswith(": A sign-in from a new device")
    for body in bodies(message):
        assert AWAY in body
        assert "curl/8.5.0" in body
        assert "UTC" in body
        assert "/api/v1/users/me/password\n" in body
        assert not TOKEN.search(body)
    assert await mails(post) == 1


@pytest.mark.parametrize(
    ("ip", "program", "told"),
    [
        (NETWORK, FIREFOX.format(133), 0),
        (SAME_NETWORK, FIREFOX.format(140), 0),
        (OTHER_NETWORK, FIREFOX.format(133), 1),
        (NETWORK, "curl/8.5.0", 1),
        (NETWORK, "", 1),
    ],
)
async def test_a_device_is_a_network_and_a_program(post: Post, ip: str, program: str, told: int) -> None:
    """An update of the program is no other device, nor is another address of the same /64."""
    person = await post.service.person()
    await sign_in(post, person, NETWORK, FIREFOX.format(133))
    await sign_in(post, person, ip, program)
    assert await mails(post) == told


async def test_devices_of_others_are_not_known(post: Post) -> None:
    """Where one account signs in from is new for another."""
    first, second = await post.service.person(), await post.service.person()
    await sign_in(post, first)
    await sign_in(post, second, AWAY)
    await sign_in(post, first, AWAY)
    assert len(await post.mailbox.wait(first.email)) == await mails(post) == 1


async def test_a_refused_sign_in_and_a_refresh_tell_nobody(post: Post) -> None:
    """A wrong password from a new device leaves no mail, and a refresh from there is no sign-in."""
    person = await post.service.person()
    tokens = await sign_in(post, person)
    headers = {"X-Forwarded-For": AWAY}
    assert (await post.service.try_sign_in(person.email, "wrong", headers=headers)).status_code == 401
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
    assert (await post.service.client.post("/oauth/token", data=form, headers=headers)).status_code == 200
    assert await mails(post) == 0


async def test_sign_ins_at_once_from_a_new_device_are_told_once(post: Post) -> None:
    """The account is locked before its devices are looked at."""
    person = await post.service.person()
    await sign_in(post, person)
    await asyncio.gather(*(sign_in(post, person, AWAY) for _ in range(4)))
    assert await mails(post) == 1


async def test_whoever_has_the_password_fills_no_mailbox(post: Post) -> None:
    """Five new devices within an hour are told, however many the account has signed in from before."""
    person = await post.service.person()
    with time_machine.travel(utc_now() - timedelta(days=1)):
        for number in range(10, 17):
            await sign_in(post, person, f"198.51.100.{number}")
    before = await mails(post)
    for number in range(9):
        await sign_in(post, person, f"198.51.100.{number}")
    assert await mails(post) - before == 5


async def test_what_a_program_calls_itself_is_text_without_a_link(post: Post) -> None:
    """It is bounded, ends no quote, and neither a mail program nor a template makes anything of it."""
    person = await post.service.person()
    await sign_in(post, person)
    hostile = '"</li><a href="https://evil.example/x">{{7*7}}</a> call help@evil.example ' + "x" * 2000
    await sign_in(post, person, AWAY, hostile)
    (message,) = await post.mailbox.wait(person.email)
    text, html = bodies(message)
    for body in (text, html):
        assert "evil example" in body
        assert "evil.example" not in body
        assert "https:" not in body.replace("https://service.example", "")
        assert "{{7*7}}" in body
        assert "x" * 200 not in body
    assert "<a" not in html
    (line,) = [line for line in text.splitlines() if "calls itself" in line]
    assert line.count('"') == 2


async def test_tells_of_other_roles_and_of_disabling(post: Post) -> None:
    """Each once: what changes nothing is not told, nor is enabling."""
    person, (_, admin) = await post.service.person(), await post.service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{person.id}"
    for _ in range(2):
        answer = await post.service.client.put(
            f"{path}/roles", json={"roles": ["auditor", "member"]}, headers=admin.bearer
        )
        assert answer.status_code == 200
    assert "auditor, member." in await post.text(person.email)
    for disabled in (True, True, False):
        answer = await post.service.client.patch(path, json={"disabled": disabled}, headers=admin.bearer)
        assert answer.status_code == 200
    text = await post.text(person.email, 2)
    assert "has disabled your account" in text
    assert "operator@service.example" in text
    assert await mails(post) == 2


async def test_nobody_is_told_of_an_account_that_may_not_be_theirs(post: Post) -> None:
    """An address that nobody has confirmed gets no alert, and a service account has no mailbox."""
    _, admin = await post.service.signed_in(Role.ADMIN)
    await post.register("ada@people.example")
    client = {"name": "C", "grants": ["client_credentials"], "scope": "account:read", "roles": ["member"]}
    answer = await post.service.client.post("/api/v1/clients", json=client, headers=admin.bearer)
    assert answer.status_code == 201, answer.text
    listed = (await post.service.client.get("/api/v1/users", headers=admin.bearer)).json()["items"]
    others = [user["id"] for user in listed if "admin" not in user["roles"]]
    assert len(others) == 2
    for other in others:
        answer = await post.service.client.patch(
            f"/api/v1/users/{other}", json={"disabled": True}, headers=admin.bearer
        )
        assert answer.status_code == 200
    assert await mails(post) == 1  # that of the registration


async def test_each_can_be_switched_off_and_on_again(post: Post) -> None:
    """What is switched off is not told, everything else is; null and an empty list switch all on."""
    (person, own), (_, admin) = await post.service.signed_in(), await post.service.signed_in(Role.ADMIN)
    path = f"/api/v1/users/{person.id}"
    assert (await post.service.whoami(own)).json()["muted_alerts"] == []
    await mute(post, own, ALERTS)
    await sign_in(post, person, AWAY)
    for roles in (["auditor"], ["member"]):
        await post.service.client.put(f"{path}/roles", json={"roles": roles}, headers=admin.bearer)
    assert await mails(post) == 0
    own = await sign_in(post, person, AWAY)
    await mute(post, own, ["roles_changed"])
    await sign_in(post, person, HOME)
    assert await mails(post) == 1
    await mute(post, own, None)
    await post.service.client.put(f"{path}/roles", json={"roles": ["auditor"]}, headers=admin.bearer)
    assert await mails(post) == 2


async def test_passwords_are_told_whatever_is_switched_off(post: Post) -> None:
    """A change of password is no alert."""
    person, own = await post.service.signed_in()
    await mute(post, own, ALERTS)
    body = {"current_password": person.password, "new_password": PASSWORD}
    assert (await post(f"{ME.removeprefix('/api/v1')}/password", body, headers=own.bearer)).status_code == 204
    assert "password of your account was changed" in await post.text(person.email)


@pytest.mark.parametrize(
    "alerts", [["password_changed"], ["new_device", "new_device"], "new_device", [1], {"new_device": True}, True]
)
async def test_refuses_what_is_no_list_of_alerts(post: Post, alerts: object) -> None:
    """And changes nothing, the name that comes with it neither."""
    _, own = await post.service.signed_in()
    before = (await post.service.whoami(own)).json()
    body = {"display_name": "Ada", "muted_alerts": alerts}
    answer = await post.service.client.patch(ME, json=body, headers=own.bearer)
    assert answer.status_code == 422
    assert (await post.service.whoami(own)).json() == before


async def test_an_administrator_switches_off_nothing_for_others(post: Post) -> None:
    """The owner alone decides what they are told."""
    person, (_, admin) = await post.service.person(), await post.service.signed_in(Role.ADMIN)
    body = {"muted_alerts": ["roles_changed"]}
    path = f"/api/v1/users/{person.id}"
    assert (await post.service.client.patch(path, json=body, headers=admin.bearer)).status_code == 422


async def test_switching_off_is_in_the_trail(post: Post) -> None:
    """Which alerts an account does not get."""
    (person, own), (_, auditor) = await post.service.signed_in(), await post.service.signed_in(Role.AUDITOR)
    await mute(post, own, ["new_device"])
    answer = await post.service.client.get("/api/v1/audit?action=alerts_changed", headers=auditor.bearer)
    (row,) = answer.json()["items"]
    assert (row["actor"], row["details"]) == (str(person.id), {"muted": ["new_device"]})


async def test_neither_an_application_nor_an_old_sign_in_switches_off(post: Post) -> None:
    """What a stolen token could do first, so that nobody is told of the rest; the name is changed as ever."""
    person, own = await post.service.signed_in()
    application = await issue_to(post.service, await register(post.service), person)
    for tokens, status in ((application, 403), (own, 401)):
        with time_machine.travel(utc_now() + (timedelta(0) if tokens is application else timedelta(minutes=16))):
            fresh = await post.service.refresh(tokens.refresh) if tokens is own else None
            bearer = tokens_of(fresh).bearer if fresh else tokens.bearer
            refused = await post.service.client.patch(ME, json={"muted_alerts": ["new_device"]}, headers=bearer)
            assert refused.status_code == status
            answer = await post.service.client.patch(ME, json={"display_name": "Ada"}, headers=bearer)
            assert (answer.status_code, answer.json()["muted_alerts"]) == (200, [])


async def test_an_account_whose_sessions_were_purged_still_knows_its_networks(post: Post) -> None:
    """Months later, a sign-in from home is none of a new device, and one from elsewhere is."""
    for ip, told in ((HOME, 0), (AWAY, 1)):
        person = await post.service.person()
        await sign_in(post, person)
        async with post.service[Database].transaction() as db:
            await db.execute(delete(Session).where(Session.user_id == person.id))
        await sign_in(post, person, ip)
        assert await mails(post) == told
