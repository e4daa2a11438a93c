"""An enrolment adds one factor, once: also after that factor was removed, and with the same answer to it."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest
import time_machine

from app.core.clock import utc_now
from tests.features.factors.passkeys.steps import add_credential, begin_passkey
from tests.features.factors.steps import FACTORS, App, begin, confirm, enrol
from tests.support.api.authenticator import Passkey
from tests.support.service import Service

pytestmark = pytest.mark.anyio

Add = Callable[[], Awaitable[httpx2.Response]]


async def enrolment(service: Service, kind: str, headers: dict[str, str]) -> Add:
    """Begin to add a factor, and return what sends the right answer, each time the same one."""
    if kind == "totp":
        begun = await begin(service, headers)
        code = App(begun["otpauth_uri"]).code()
        return lambda: confirm(service, headers, begun, code)
    begun = await begin_passkey(service, headers)
    made = Passkey().create(begun["options"])
    return lambda: add_credential(service, headers, begun, made)


async def remove(service: Service, headers: dict[str, str], added: httpx2.Response) -> None:
    """Remove what an answer says was added."""
    answer = await service.client.delete(f"{FACTORS}/{added.json()['id']}", headers=headers)
    assert answer.status_code == 204, answer.text


async def listed(service: Service, headers: dict[str, str]) -> list[Any]:
    """The kinds that the account has."""
    return [each["kind"] for each in (await service.client.get(FACTORS, headers=headers)).json()["items"]]


@pytest.mark.asvs("6.5.1", "6.6.2", "6.7.2")
@pytest.mark.parametrize("kind", ["totp", "passkey"])
@pytest.mark.parametrize("beside", [False, True])
async def test_an_enrolment_counts_once_also_after_a_removal(service: Service, kind: str, *, beside: bool) -> None:
    """The same body is refused while its factor is there, and once it is gone: as the only one, and beside another."""
    with time_machine.travel(utc_now(), tick=False):
        person, tokens = await service.signed_in()
        if beside:
            await enrol(service, person, tokens)
        before = await listed(service, tokens.bearer)
        add = await enrolment(service, kind, tokens.bearer)
        added = await add()
        assert added.status_code == 201
        assert (await add()).status_code == 409
        await remove(service, tokens.bearer, added)
        assert (await add()).status_code == 409
        assert await listed(service, tokens.bearer) == before
        assert (await (await enrolment(service, kind, tokens.bearer))()).status_code == 201


async def test_what_fails_uses_no_enrolment_up(service: Service) -> None:
    """A wrong answer, and a passkey that is refused because another factor was added meanwhile."""
    with time_machine.travel(utc_now(), tick=False):
        _, tokens = await service.signed_in()
        begun = await begin_passkey(service, tokens.bearer)
        app = await enrolment(service, "totp", tokens.bearer)
        assert (await add_credential(service, tokens.bearer, begun, "{}")).status_code == 403
        added = await app()
        assert added.status_code == 201
        made = Passkey().create(begun["options"])
        assert (await add_credential(service, tokens.bearer, begun, made)).status_code == 409
        await remove(service, tokens.bearer, added)
        assert (await add_credential(service, tokens.bearer, begun, made)).status_code == 201
