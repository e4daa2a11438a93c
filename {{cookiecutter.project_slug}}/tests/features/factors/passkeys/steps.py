"""People who have a passkey, and the steps of the API that use one."""

from dataclasses import dataclass
from typing import Any

import httpx2

from tests.features.factors.steps import FACTORS
from tests.support.api.authenticator import Passkey
from tests.support.service import Person, Service, Tokens, tokens_of


@dataclass
class Owner:
    """Somebody with a passkey, signed in with the password and with it."""

    person: Person
    tokens: Tokens
    passkey: Passkey
    factor_id: str
    codes: list[str] | None


async def begin_passkey(service: Service, headers: dict[str, str]) -> dict[str, Any]:
    """Begin to add a passkey."""
    answer = await service.client.post(FACTORS, json={"kind": "passkey"}, headers=headers)
    assert answer.status_code == 200, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


async def add_credential(
    service: Service, headers: dict[str, str], begun: dict[str, Any], credential: str, **more: Any
) -> httpx2.Response:
    """Add what an authenticator has made."""
    body = {"kind": "passkey", "enrolment": begun["enrolment"], "credential": credential, **more}
    return await service.client.post(FACTORS, json=body, headers=headers)


async def add_passkey(service: Service, person: Person, tokens: Tokens, *, counts: bool = True) -> Owner:
    """Add a passkey to somebody's account."""
    passkey, begun = Passkey(counts=counts), await begin_passkey(service, tokens.bearer)
    answer = await add_credential(service, tokens.bearer, begun, passkey.create(begun["options"]))
    assert answer.status_code == 201, answer.text
    return Owner(person, tokens, passkey, answer.json()["id"], answer.json().get("recovery_codes"))


async def with_passkey(service: Service, *, counts: bool = True) -> Owner:
    """Somebody new with a passkey."""
    return await add_passkey(service, *await service.signed_in(), counts=counts)


async def asked(service: Service, person: Person | None = None, **options: Any) -> dict[str, Any]:
    """Ask for a challenge: after the password of a person, or for any passkey."""
    if person:
        answer = await service.try_sign_in(person.email, person.password, **options)
    else:
        answer = await service.client.post("/api/v1/signin/passkey", **options)
    assert answer.status_code == 200, answer.text
    challenge: dict[str, Any] = answer.json()
    return challenge


def options_of(challenge: dict[str, Any]) -> dict[str, Any]:
    """The options for a passkey in a challenge."""
    options: dict[str, Any] = next(each for each in challenge["factors"] if each["kind"] == "passkey")["options"]
    return options


async def answer_by(service: Service, challenge: dict[str, Any], credential: str, **options: Any) -> httpx2.Response:
    """Answer a challenge with what an authenticator has signed."""
    body = {"challenge": challenge["challenge"], "kind": "passkey", "credential": credential}
    return await service.client.post("/api/v1/signin/factor", json=body, **options)


async def sign_in_with_passkey(service: Service, owner: Owner) -> Tokens:
    """Sign in with a passkey alone."""
    challenge = await asked(service)
    answer = await answer_by(service, challenge, owner.passkey.get(options_of(challenge)))
    assert answer.status_code == 200, answer.text
    return tokens_of(answer)
