"""Who a client is: by HTTP Basic, by the form, or by its name alone; never in two ways."""

from base64 import b64encode

import httpx2
import pytest
from sqlalchemy import select

from app.core.database.database import Database
from app.features.oauth.clients.registered import RegisteredClient
from app.features.oauth.models import OAuthClient
from tests.conftest import StartService
from tests.support.api.oauth import ask_token, basic, error_of, issue_to, register, register_machine
from tests.support.records.trail import stored
from tests.support.service import Service

pytestmark = pytest.mark.anyio

INVALID = (401, "invalid_client")
GRANT = {"grant_type": "client_credentials"}


async def test_a_client_shows_its_secret_in_the_header_or_in_the_form(service: Service) -> None:
    """Both ways lead in; its name alone, or a secret that is not its own, does not."""
    one, other = await register_machine(service), await register_machine(service)
    for headers, form in ((one.basic, {}), ({}, one.form), (one.basic, {"client_id": one.client_id})):
        assert (await ask_token(service, headers, **GRANT, **form)).status_code == 200
    assert one.secret is not None
    assert other.secret is not None
    wrong: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {"client_id": one.client_id}),
        ({}, {"client_id": one.client_id, "client_secret": other.secret}),
        ({}, {"client_id": one.client_id, "client_secret": ""}),
        ({}, {"client_id": "unknown", "client_secret": one.secret}),
        ({}, {"client_id": one.client_id.upper(), "client_secret": one.secret}),
        ({}, {"client_id": "first-party", "client_secret": one.secret}),
        ({}, {"client_secret": one.secret}),
        (basic(one.client_id, other.secret), {}),
        (basic(one.client_id, one.secret + "x"), {}),
        (basic(one.client_id, ""), {}),
        (basic("", one.secret), {}),
        (basic("x" * 65, one.secret), {}),
        (basic("\0", one.secret), {}),
    ]
    for headers, form in wrong:
        answer = await ask_token(service, headers, **GRANT, **form)
        assert error_of(answer) == INVALID, form
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")


async def test_both_parts_of_basic_are_form_encoded(service: Service) -> None:
    """RFC 6749 section 2.3.1: a `+` is a space, an escape is what it stands for."""
    machine = await register_machine(service)
    escaped = "".join(f"%{ord(character):02x}" for character in machine.client_id)
    token = b64encode(f"{escaped}:{machine.secret}".encode()).decode()
    for scheme in ("Basic ", "basic   "):
        assert (await ask_token(service, {"Authorization": f"{scheme}{token}"}, **GRANT)).status_code == 200


@pytest.mark.parametrize(
    "value",
    [
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic YQ",
        "Basic YQ==",
        "Basic YTpi\u00e9",
        "Basic " + b64encode(b"\xff\xfe:x").decode(),
        "Basic " + b64encode(b"a%zz:x").decode(),
        "Basic " + b64encode(b"a%ff:x").decode(),
        "Basic " + b64encode(b"a:" + b"x" * 5000).decode(),
        "Digest username=x",
        "Bearer x",
        "x",
    ],
    ids=ascii,
)
async def test_a_header_that_cannot_be_read_is_no_client(service: Service, value: str) -> None:
    """401, whatever it is, and never the service's own sign-in instead."""
    _, tokens = await service.signed_in()
    headers = [(b"Authorization", value.encode("latin-1"))]
    form = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
    assert error_of(await service.client.post("/oauth/token", data=form, headers=headers)) == INVALID
    assert (await service.refresh(tokens.refresh)).status_code == 200


async def test_two_credentials_at_once_are_refused(service: Service) -> None:
    """RFC 6749 section 2.3: one way for a request, even where both are right."""
    one, other = await register_machine(service), await register_machine(service)
    _, tokens = await service.signed_in()
    mixed = [(one.basic, one.form), (one.basic, other.form), (one.basic, {"client_id": other.client_id})]
    for headers, form in mixed:
        assert error_of(await ask_token(service, headers, **GRANT, **form)) == (400, "invalid_request")
    for path in ("/oauth/revoke", "/oauth/introspect"):
        data = {"token": tokens.refresh} | one.form
        answer = await service.client.post(path, data=data, headers=tokens.bearer)
        assert error_of(answer) == (400, "invalid_request")
    twice = [(b"Authorization", one.basic["Authorization"].encode())] * 2
    answer = await service.client.post("/oauth/token", data=GRANT, headers=twice)
    assert answer.status_code == 400


async def test_a_public_client_is_its_name_and_shows_no_secret(service: Service) -> None:
    """A secret from a client that has none is a mistake somewhere, or somebody's try."""
    public = await register(service, confidential=False)
    assert public.secret is None
    tokens = await issue_to(service, public, await service.person())
    grant = {"grant_type": "refresh_token", "refresh_token": tokens.refresh}
    for headers, form in (
        ({}, public.form | {"client_secret": "x"}),
        (basic(public.client_id, "x"), {}),
        (public.basic, {}),
    ):
        assert error_of(await ask_token(service, headers, **grant, **form)) == INVALID
    assert (await ask_token(service, None, **grant, **public.form)).status_code == 200


@pytest.mark.asvs("10.4.10")
@pytest.mark.parametrize("path", ["token", "introspect", "revoke"])
async def test_without_a_client_the_endpoints_are_closed(service: Service, path: str) -> None:
    """401 and `invalid_client`; the challenge names every way in that there is."""
    machine = await register_machine(service)
    form = GRANT | {"token": "x"}
    for extra in ({}, {"client_id": machine.client_id}, {"client_id": "unknown"}):
        answer = await service.client.post(f"/oauth/{path}", data=form | extra)
        assert error_of(answer) == INVALID
        assert "Basic " in answer.headers["WWW-Authenticate"]


@pytest.mark.asvs("13.3.1")
async def test_a_secret_is_stored_as_its_digest_and_shown_by_nothing(service: Service) -> None:
    """Neither the row nor the object holds it."""
    machine = await register_machine(service)
    assert machine.secret is not None
    assert len(machine.secret) == len("cs_") + 43
    async with service[Database].read() as db:
        its_own = OAuthClient.client_id == machine.client.client_id
        row = (await db.execute(select(*OAuthClient.__table__.columns).where(its_own))).one()
    assert machine.secret not in str(row)
    assert len(row.secret_hash) == 32
    assert isinstance(machine.client, RegisteredClient)
    assert "secret_hash" not in repr(machine.client)


@pytest.mark.asvs("6.3.1", "2.4.1")
async def test_failures_are_limited_and_lock_nobody_out(start: StartService) -> None:
    """Who fails too often is told to wait; the client with its secret gets in, from there and from elsewhere."""
    async with start(rate_limit_signin="3/hour", trusted_proxies="127.0.0.1") as service:
        machine, other = await register_machine(service), await register_machine(service)
        away = {"X-Forwarded-For": "203.0.113.9"}

        async def attempt(client_id: str) -> httpx2.Response:
            return await ask_token(service, away | basic(client_id, "wrong"), **GRANT)

        answers = [await attempt(machine.client_id) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert 1 <= int(answers[-1].headers["Retry-After"]) <= 3600
        # Names that nobody has share one count, however many are tried.
        assert [(await attempt(f"unknown{n}")).status_code for n in range(4)] == [401, 401, 401, 429]
        assert (await attempt(other.client_id)).status_code == 401
        for headers in (away, {"X-Forwarded-For": "198.51.100.1"}):
            assert (await ask_token(service, headers | machine.basic, **GRANT)).status_code == 200
        rows = [row for row in await stored(service) if row["action"].startswith(("client_auth", "signin"))]
        assert [row["action"] for row in rows].count("client_authentication_failed") == 7
        assert [row["action"] for row in rows].count("signin_limited") == 2
        assert (rows[0]["outcome"], rows[0]["target_type"], rows[0]["target_id"]) == (
            "failure",
            "client",
            str(machine.client.id),
        )
        assert rows[4]["target_id"] is None


async def test_a_public_client_with_an_empty_secret_is_told_what_to_do(service: Service) -> None:
    """Some libraries send HTTP Basic for every client. The words are the same for a client that does not exist."""
    public = await register(service, confidential=False)
    for client_id in (public.client_id, "unknown"):
        answer = await ask_token(service, basic(client_id, ""), **GRANT)
        assert error_of(answer) == INVALID
        assert "A public client sends client_id in the form" in answer.json()["error_description"]
    other = await ask_token(service, basic(public.client_id, "x"), **GRANT)
    assert "in the form" not in other.json()["error_description"]


@pytest.mark.asvs("8.3.1")
@pytest.mark.parametrize("path", ["/oauth/introspect", "/oauth/revoke"])
@pytest.mark.parametrize(
    ("body", "kind"),
    [(b"x", "text/plain"), (b"%zz", "application/x-www-form-urlencoded"), (b"{}", "application/json"), (b"", "a")],
)
async def test_who_shows_a_token_is_judged_before_the_form(service: Service, path: str, body: bytes, kind: str) -> None:
    """An invalid token is 401 whatever the body is; with a valid one, the body is what is wrong."""
    _, tokens = await service.signed_in()
    for value in ("Bearer x", "bearer x.y.z", "Bearer"):
        headers = {"Authorization": value, "Content-Type": kind}
        answer = await service.client.post(path, content=body, headers=headers)
        assert (answer.status_code, answer.headers["WWW-Authenticate"].startswith("Bearer")) == (401, True)
    answer = await service.client.post(path, content=body, headers=tokens.bearer | {"Content-Type": kind})
    assert answer.status_code in {400, 415}
