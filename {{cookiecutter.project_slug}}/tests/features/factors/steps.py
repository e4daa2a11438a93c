"""An authenticator app, and people who have one."""

import time
from base64 import b32decode
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from app.access.roles import Role
from app.core.clock import utc_now
from tests.support.records.mail import Mailbox, bodies, until
from tests.support.service import Person, Service, Tokens, tokens_of

FACTORS = "/api/v1/users/me/factors"
_STEP_SECONDS = 30


@dataclass
class App:
    """An authenticator app, as it reads the URI of a QR code; each code is shown as the next one, never one again."""

    uri: str
    ahead: int = field(default=-1, init=False)

    @property
    def secret(self) -> str:
        """The secret in the URI."""
        return parse_qs(urlsplit(self.uri).query)["secret"][0]

    def code(self, steps: int = 0) -> str:
        """The code of this time step, or of one so many steps later."""
        totp = TOTP(b32decode(self.secret), 6, SHA1(), _STEP_SECONDS)  # noqa: S303  # as RFC 6238 has it
        return totp.generate(int((utc_now() + timedelta(seconds=_STEP_SECONDS * steps)).timestamp())).decode()

    def oldest(self, seconds: float = 1) -> str:
        """The code of the step before, with so many seconds to be used: at the end of this step it is soon too old."""
        left = _STEP_SECONDS - utc_now().timestamp() % _STEP_SECONDS
        time.sleep(left if left < seconds else 0)
        return self.code(-1)

    def fresh(self) -> str:
        """A code that was not used yet: three of them are right at any moment."""
        self.ahead += 1
        return self.code(self.ahead)


@dataclass(frozen=True)
class Enrolled:
    """Somebody with an authenticator app and recovery codes, signed in with both factors."""

    person: Person
    tokens: Tokens
    app: App
    factor_id: str
    codes: list[str]


async def begin(service: Service, headers: dict[str, str]) -> dict[str, Any]:
    """Begin to add an authenticator app."""
    answer = await service.client.post(FACTORS, json={"kind": "totp"}, headers=headers)
    assert answer.status_code == 200, answer.text
    begun: dict[str, Any] = answer.json()
    return begun


async def confirm(service: Service, headers: dict[str, str], begun: dict[str, Any], code: str) -> httpx2.Response:
    """Prove it with a code."""
    body = {"kind": "totp", "enrolment": begun["enrolment"], "code": code}
    return await service.client.post(FACTORS, json=body, headers=headers)


async def enrol(service: Service, person: Person, tokens: Tokens) -> Enrolled:
    """Add an authenticator app to somebody's account: the code of the step before, so that two more can be used."""
    begun = await begin(service, tokens.bearer)
    app = App(begun["otpauth_uri"])
    answer = await confirm(service, tokens.bearer, begun, app.oldest())
    assert answer.status_code == 201, answer.text
    added = answer.json()
    return Enrolled(person, tokens, app, added["id"], added.get("recovery_codes", []))


async def with_app(service: Service, *roles: Role) -> Enrolled:
    """Somebody new with an authenticator app."""
    return await enrol(service, *await service.signed_in(*roles))


async def challenged(service: Service, person: Person, **options: Any) -> str:
    """Give the password, and return the challenge."""
    answer = await service.try_sign_in(person.email, person.password, **options)
    assert answer.status_code == 200, answer.text
    assert "access_token" not in answer.json()
    challenge: str = answer.json()["challenge"]
    return challenge


async def answer_with(
    service: Service, challenge: str, code: str, kind: str = "totp", **options: Any
) -> httpx2.Response:
    """Answer a challenge."""
    body = {"challenge": challenge, "kind": kind, "code": code}
    return await service.client.post("/api/v1/signin/factor", json=body, **options)


async def sign_in_with_app(service: Service, enrolled: Enrolled) -> Tokens:
    """Sign in with both factors."""
    answer = await answer_with(service, await challenged(service, enrolled.person), enrolled.app.fresh())
    assert answer.status_code == 200, answer.text
    return tokens_of(answer)


async def told(mailbox: Mailbox, to: str, words: str) -> str:
    """Wait for a mail with these words, and return its text on one line."""

    def found() -> str | None:
        texts = (" ".join(bodies(message)[0].split()) for message in mailbox.messages(to))
        return next((text for text in texts if words in text), None)

    return str(await until(found))
