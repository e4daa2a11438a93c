"""What a hostile client, page or authenticator sends is refused, with an answer that tells nothing, and no 500."""

import asyncio
import json
import secrets
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

from app.access.roles import Role
from tests.conftest import StartService
from tests.features.factors.passkeys.steps import (
    add_credential,
    answer_by,
    asked,
    begin_passkey,
    options_of,
    sign_in_with_passkey,
    with_passkey,
)
from tests.features.factors.steps import FACTORS, App, answer_with, begin, confirm, enrol
from tests.support.api.authenticator import BACKUP_ELIGIBLE, GOOD, PRESENT, VERIFIED, Passkey, text
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio

WRONG = (401, "The answer is wrong, or was used before.")
ENDED = (401, "The sign-in has ended. Begin again.")

FORGED: dict[str, dict[str, Any]] = {
    "wrong origin": {"origin": "https://evil.example"},
    "origin below": {"origin": "https://service.example.evil.example"},
    "origin over http": {"origin": "http://service.example"},
    "wrong relying party": {"rp_id": "evil.example"},
    "wrong challenge": {"challenge": text(bytes(32))},
    "no challenge": {"challenge": ""},
    "other ceremony": {"type": "webauthn.payment"},
    "user not verified": {"flags": PRESENT},
    "user not present": {"flags": VERIFIED},
    "backed up, not eligible": {"flags": PRESENT | VERIFIED | 0x10},
}
"""What is wrong in the message of an authenticator, making a passkey and using it alike."""


@pytest.mark.asvs("6.3.3", "6.3.8", "2.3.1")
@pytest.mark.parametrize("forged", [*FORGED, "other key", "handle of another", "counter back"])
async def test_a_forged_answer_opens_nothing(service: Service, forged: str) -> None:
    """As the only factor and as the second; the answer is the same for each, and for a passkey that is nobody's."""
    owner, other = await with_passkey(service), await with_passkey(service)
    await sign_in_with_passkey(service, owner)
    more: dict[str, dict[str, Any]] = {
        "other key": {"key": generate_private_key(SECP256R1())},
        "handle of another": {"user": other.passkey.user},
        "counter back": {"count": 1},
    }
    for person in (None, owner.person):
        challenge = await asked(service, person)
        answer = await answer_by(
            service, challenge, owner.passkey.get(options_of(challenge), **(FORGED | more)[forged])
        )
        assert (answer.status_code, answer.json()["detail"]) == WRONG
        nobodys = Passkey(user=owner.passkey.user)
        answer = await answer_by(service, challenge, nobodys.get(options_of(challenge)))
        assert (answer.status_code, answer.json()["detail"]) == WRONG
    await sign_in_with_passkey(service, owner)


@pytest.mark.asvs("6.3.3")
@pytest.mark.parametrize("forged", FORGED)
async def test_a_forged_passkey_is_not_added(service: Service, forged: str) -> None:
    """The same for what an authenticator makes; nothing is stored of it."""
    _, tokens = await service.signed_in()
    begun = await begin_passkey(service, tokens.bearer)
    made = Passkey().create(begun["options"], **FORGED[forged])
    assert (await add_credential(service, tokens.bearer, begun, made)).status_code == 403
    assert (await service.client.get(FACTORS, headers=tokens.bearer)).json()["items"] == []


RUBBISH: dict[str, Any] = {
    "no JSON": "{",
    "a list": "[]",
    "no response": "{}",
    "a number as id": json.dumps({"id": 1, "rawId": "AA", "type": "public-key", "response": {}}),
    "deep": "[" * 8000,
    "a list as response": json.dumps({"id": "AA", "rawId": "AA", "type": "public-key", "response": []}),
    "objects as texts": json.dumps(
        {
            "id": "AA",
            "rawId": {},
            "type": "public-key",
            "response": {"clientDataJSON": [], "userHandle": {}, "attestationObject": 1},
        }
    ),
    "not base64": json.dumps(
        {
            "id": "AA",
            "rawId": "AA",
            "type": "public-key",
            "response": {"clientDataJSON": "é", "authenticatorData": "\x00", "signature": "%"},
        }
    ),
}


@pytest.mark.asvs("1.4.2", "2.2.1")
@pytest.mark.parametrize("rubbish", RUBBISH)
async def test_rubbish_is_a_wrong_answer(service: Service, rubbish: str) -> None:
    """Neither making nor using a passkey with it fails in another way."""
    _, tokens = await service.signed_in()
    begun = await begin_passkey(service, tokens.bearer)
    assert (await add_credential(service, tokens.bearer, begun, RUBBISH[rubbish])).status_code == 403
    answer = await answer_by(service, await asked(service), RUBBISH[rubbish])
    assert (answer.status_code, answer.json()["detail"]) == WRONG


@pytest.mark.asvs("11.6.1")
@pytest.mark.parametrize(
    "cose",
    [
        {1: 2, 3: -7, -1: 1, -2: bytes(32), -3: bytes(32)},  # a point that is on no curve
        {1: 2, 3: -7, -1: 1},
        {1: 4, 3: -7},
        {1: 2, 3: -999, -1: 1, -2: b"", -3: b""},
        {1: 2, 3: -47, -1: 8, -2: bytes(32), -3: bytes(32)},  # an algorithm that was not asked for
        {},
        [1],
        cbor2.CBORTag(35, "(a+)+$"),
        2**600,
    ],
)
async def test_a_key_that_is_none_is_not_added(service: Service, cose: Any) -> None:
    """Or if it were, it would never be right; nothing but 201 and 403 comes of it."""
    _, tokens = await service.signed_in()
    begun, passkey = await begin_passkey(service, tokens.bearer), Passkey()
    created = passkey.create(begun["options"], cose=cose)
    status = (await add_credential(service, tokens.bearer, begun, created)).status_code
    assert status in {201, 403}
    if status == 201:
        challenge = await asked(service)
        assert (await answer_by(service, challenge, passkey.get(options_of(challenge)))).status_code == 401


@pytest.mark.asvs("6.6.2", "2.3.1", "6.6.3")
async def test_every_challenge_in_every_other_place_is_refused(service: Service) -> None:
    """What was signed for one sign-in, enrolment, user or channel is nothing in another; each is used once."""
    owner, other = await with_passkey(service), await with_passkey(service)
    first, second = await asked(service), await asked(service)
    third, theirs = await asked(service, owner.person), await asked(service, other.person)
    begun = await begin_passkey(service, owner.tokens.bearer)
    creation = {**begun["options"], "rpId": begun["options"]["rp"]["id"]}
    signed = {
        "first": (first, owner.passkey.get(options_of(first))),
        "second": (second, owner.passkey.get(options_of(second))),
        "third": (third, owner.passkey.get(options_of(third))),
        "theirs": (theirs, other.passkey.get(options_of(theirs))),
        "enrolment": ({"challenge": begun["enrolment"][:128]}, owner.passkey.get(creation)),
    }
    for place, (challenge, _) in signed.items():
        for origin, (_, credential) in signed.items():
            if place != origin:
                answer = await answer_by(service, challenge, credential)
                expected = (429, 401) if place in {"third", "theirs"} else (401,)
                assert answer.status_code in expected, (place, origin)
    made = Passkey().create({**begun["options"], "challenge": options_of(first)["challenge"]})
    assert (await add_credential(service, owner.tokens.bearer, begun, made)).status_code == 403
    answer = await answer_by(service, first, signed["first"][1])
    assert answer.status_code == 200
    answer = await answer_by(service, first, signed["first"][1])
    assert (answer.status_code, answer.json()["detail"]) == ENDED


@pytest.mark.asvs("6.3.3", "2.3.1")
async def test_a_challenge_for_any_passkey_takes_no_other_factor(service: Service) -> None:
    """A right code with the id of its owner's passkey, which is no secret, is no sign-in without the password."""
    owner = await with_passkey(service)
    enrolled = await enrol(service, owner.person, owner.tokens)
    credential = owner.passkey.get(options_of(await asked(service)))
    for kind, code in (("totp", enrolled.app.fresh()), ("recovery_codes", (owner.codes or [])[0])):
        body = {"challenge": (await asked(service))["challenge"], "kind": kind, "code": code, "credential": credential}
        answer = await service.client.post("/api/v1/signin/factor", json=body)
        assert (answer.status_code, answer.json()["detail"]) == WRONG
    assert (await answer_with(service, (await asked(service))["challenge"], enrolled.app.fresh())).status_code == 401


@pytest.mark.asvs("2.3.1")
async def test_enrolments_of_app_and_passkey_are_not_one_another(service: Service) -> None:
    """An app's enrolment adds no passkey, nor a passkey's an app; that of a passkey ends with any change of factors."""
    _, tokens = await service.signed_in()
    app, passkey = await begin(service, tokens.bearer), await begin_passkey(service, tokens.bearer)
    made = Passkey().create(passkey["options"])
    assert (await add_credential(service, tokens.bearer, app, made)).status_code == 400
    assert (await confirm(service, tokens.bearer, passkey, "000000")).status_code == 400
    _, stranger = await service.signed_in()
    assert (await add_credential(service, stranger.bearer, passkey, made)).status_code == 400
    assert (await add_credential(service, tokens.bearer, passkey, made)).status_code == 201
    for credential in (made, Passkey().create(passkey["options"])):
        assert (await add_credential(service, tokens.bearer, passkey, credential)).status_code == 409
    late = await begin_passkey(service, tokens.bearer)
    assert (await confirm(service, tokens.bearer, app, App(app["otpauth_uri"]).code())).status_code == 201
    assert (await add_credential(service, tokens.bearer, late, Passkey().create(late["options"]))).status_code == 409


async def test_a_passkey_belongs_to_one_account(service: Service) -> None:
    """Its id, which is no secret, cannot be registered by somebody else: their key would answer for the owner's."""
    owner = await with_passkey(service)
    _, thief = await service.signed_in()
    begun = await begin_passkey(service, thief.bearer)
    same = Passkey(id=owner.passkey.id)
    assert (await add_credential(service, thief.bearer, begun, same.create(begun["options"]))).status_code == 409
    challenge = await asked(service)
    assert (await answer_by(service, challenge, same.get(options_of(challenge)))).status_code == 401
    await sign_in_with_passkey(service, owner)


@pytest.mark.asvs("2.3.4", "7.4.3")
async def test_removal_and_fifty_uses_at_once_open_nothing_that_stays(service: Service) -> None:
    """Once the passkey is gone, no session that it opened is alive, and none is opened."""
    owner = await with_passkey(service, counts=False)
    challenges = [await asked(service) for _ in range(9)]
    uses = [answer_by(service, each, owner.passkey.get(options_of(each))) for each in challenges]
    path = f"{FACTORS}/{owner.factor_id}"
    removals = [service.client.delete(path, headers=owner.tokens.bearer) for _ in range(3)]
    answers = await asyncio.gather(*uses[:5], *removals, *uses[5:])
    assert [answer.status_code for answer in answers[5:8]].count(204) == 1
    for answer in answers[:5] + answers[8:]:
        assert answer.status_code in {200, 401}
        if answer.status_code == 200:
            assert (await service.whoami(tokens_of(answer))).status_code == 401


@pytest.mark.asvs("6.3.4", "7.4.2")
@pytest.mark.parametrize("change", ["disabled", "reset"])
async def test_a_passkey_of_a_disabled_account_or_one_that_was_reset_opens_nothing(
    service: Service, change: str
) -> None:
    """The answer is that of a wrong one."""
    owner, (_, admin) = await with_passkey(service), await service.signed_in(Role.ADMIN)
    challenge, path = await asked(service), f"/api/v1/users/{owner.person.id}"
    if change == "disabled":
        done = await service.client.patch(path, json={"disabled": True}, headers=admin.bearer)
    else:
        done = await service.client.delete(f"{path}/factors", headers=admin.bearer)
    assert done.is_success
    answer = await answer_by(service, challenge, owner.passkey.get(options_of(challenge)))
    assert (answer.status_code, answer.json()["detail"]) == WRONG


@pytest.mark.asvs("6.3.1")
async def test_a_flood_of_wrong_passkeys_is_refused_by_network_alone(start: StartService) -> None:
    """Whose passkey they name does not count: nobody can keep its owner out from elsewhere."""
    async with start(trusted_proxies="127.0.0.1", rate_limit_signin="10/15minutes") as service:
        owner = await with_passkey(service)
        there = {"headers": {"X-Forwarded-For": "203.0.113.9"}}
        statuses = []
        for _ in range(12):
            challenge = await asked(service)
            wrong = owner.passkey.get(options_of(challenge), origin="https://evil.example")
            statuses.append((await answer_by(service, challenge, wrong, **there)).status_code)
        assert (statuses[:10], statuses[10:]) == ([401] * 10, [429] * 2)
        await sign_in_with_passkey(service, owner)


@pytest.mark.asvs("9.2.2", "6.3.8", "6.7.2")
async def test_a_challenge_tells_nothing_about_anybody(service: Service) -> None:
    """Its options name no passkey, whoever has one, and it is no token; each is another one, of 256 bits."""
    await with_passkey(service)
    challenge = await asked(service)
    assert options_of(challenge)["allowCredentials"] == []
    bearer = {"Authorization": f"Bearer {challenge['challenge']}"}
    assert (await service.client.get("/api/v1/users/me", headers=bearer)).status_code == 401
    assert {*challenge} == {"status", "challenge", "expires_in", "factors"}
    texts = {options_of(await asked(service))["challenge"] for _ in range(5)}
    assert [len(text) for text in texts] == [43] * 5
    answer = await answer_by(service, {"challenge": f"sc_{secrets.token_urlsafe(32)}"}, "{}")
    assert (answer.status_code, answer.json()["detail"]) == ENDED


async def test_an_answer_says_whose_it_is_and_from_which_kind_of_device(service: Service) -> None:
    """WebAuthn section 7.2: where nobody was asked for, the user is named; what could not be synchronised never can."""
    owner = await with_passkey(service)
    for wrong in ({"user": ""}, {"flags": GOOD | BACKUP_ELIGIBLE}):
        challenge = await asked(service)
        answer = await answer_by(service, challenge, owner.passkey.get(options_of(challenge), **wrong))
        assert (answer.status_code, answer.json()["detail"]) == WRONG, wrong
    challenge = await asked(service)
    assert (await answer_by(service, challenge, owner.passkey.get(options_of(challenge)))).status_code == 200
