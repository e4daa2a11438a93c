"""Authorization requests: which are read, which are answered on a page, and which by a redirect with an error."""

import re
from typing import Any

import pytest

from app.features.authorization.requests import AuthorizationRequest, RefusedRequest, RequestReader, UntrustedRequest
from tests.conftest import PUBLIC_URL
from tests.features.authorization.steps import STATE, Pairs, challenge_of, parameters, query
from tests.features.oauth.clients.test_redirect_uris import LOOPBACK, LOOPBACK_VARIANTS, VARIANTS
from tests.support.api.oauth import CALLBACK, SCOPE, register, register_machine
from tests.support.service import Service

pytestmark = pytest.mark.anyio

# RFC 6749 appendix A.8.
DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{10,}")


async def check(service: Service, pairs: Pairs) -> AuthorizationRequest:
    """Read a request."""
    request: AuthorizationRequest = await service[RequestReader].read(pairs)
    return request


async def refused(service: Service, pairs: Pairs) -> dict[str, str]:
    """What the client is told of a request; it is told at its own address."""
    with pytest.raises(RefusedRequest) as refusal:
        await check(service, pairs)
    address, told = parameters(refusal.value.location)
    assert address == CALLBACK
    assert told["iss"] == PUBLIC_URL
    assert told["error"] == refusal.value.error
    assert DESCRIPTION.fullmatch(told.pop("error_description"))
    return told


async def test_a_sound_request_is_read(service: Service) -> None:
    """Everything that a page shows and a code is bound to; parameters that nobody knows do not matter."""
    client = await register(service)
    request = await check(service, [*query(client, max_age="600"), ("nonce", "x"), ("ui_locales", "de")])
    assert (request.client.client_id, request.redirect_uri) == (client.client_id, CALLBACK)
    assert (request.state, request.scope, request.max_age) == (STATE, frozenset({"account:read"}), 600)
    whole = await check(service, query(client, scope=None, state=None))
    assert (whole.scope, whole.state, whole.max_age) == (frozenset(SCOPE.split()), None, None)


@pytest.mark.asvs("10.4.1", "1.2.2")
@pytest.mark.parametrize("uri", VARIANTS, ids=ascii)
async def test_no_variant_of_the_address_is_redirected_to(service: Service, uri: str) -> None:
    """Not even with an error: whoever wrote the link would get it."""
    client = await register(service)
    for change in ({}, {"response_type": "token"}, {"scope": "everything"}, {"code_challenge": None}):
        with pytest.raises(UntrustedRequest) as page:
            await check(service, query(client, **{"redirect_uri": uri, **change}))
        assert page.value.status == 400
        assert not uri or uri not in page.value.detail


@pytest.mark.asvs("10.4.1")
@pytest.mark.parametrize("uri", LOOPBACK_VARIANTS, ids=ascii)
async def test_a_native_client_may_choose_its_port_alone(service: Service, uri: str) -> None:
    """RFC 8252 section 7.3."""
    client = await register(service, confidential=False, redirect_uris=[LOOPBACK])
    assert (await check(service, query(client, redirect_uri="http://127.0.0.1:51234/cb"))).redirect_uri.endswith(
        ":51234/cb"
    )
    with pytest.raises(UntrustedRequest):
        await check(service, query(client, redirect_uri=uri))


async def test_who_is_not_known_is_not_redirected(service: Service) -> None:
    """An unknown client, one without an address, another client's address, and names that appear twice."""
    client, other = await register(service), await register(service, redirect_uris=["https://other.example/cb"])
    machine = await register_machine(service)
    sound = query(client)
    requests: list[Pairs] = [
        [],
        query(client, client_id=None),
        query(client, client_id=""),
        query(client, client_id="unknown"),
        query(client, client_id="\0"),
        query(client, client_id="first-party"),
        query(client, client_id=client.client_id.upper()),
        query(client, redirect_uri=None),
        query(other),
        query(machine),
        [*sound, ("client_id", client.client_id)],
        [*sound, ("client_id", other.client_id)],
        [*sound, ("client_id", "")],
        [*sound, ("redirect_uri", CALLBACK)],
        [*sound, ("redirect_uri", "https://evil.example/")],
        [("redirect_uri", "https://evil.example/"), *sound],
        [*sound, ("redirect_uri", "")],
    ]
    for pairs in requests:
        with pytest.raises(UntrustedRequest):
            await check(service, pairs)


@pytest.mark.asvs("10.4.4", "10.4.6", "10.4.11", "10.4.12", "10.7.1")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": "id_token"}, "unsupported_response_type"),
        ({"response_type": "CODE"}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"response_mode": "form_post"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"code_challenge_method": "S512"}, "invalid_request"),
        ({"code_challenge": "A" * 42}, "invalid_request"),
        ({"code_challenge": "A" * 44}, "invalid_request"),
        ({"code_challenge": "A" * 42 + "="}, "invalid_request"),
        ({"code_challenge": "A" * 42 + "+"}, "invalid_request"),
        ({"code_challenge": "A" * 43 + "\n"}, "invalid_request"),
        ({"scope": "users:read"}, "invalid_scope"),
        ({"scope": "account:read users:read"}, "invalid_scope"),
        ({"scope": "openid account:read"}, "invalid_scope"),
        ({"scope": "account:read  account:write"}, "invalid_scope"),
        ({"scope": " "}, "invalid_scope"),
        ({"scope": "account:read " * 500}, "invalid_scope"),
        ({"request": "eyJ"}, "request_not_supported"),
        ({"request_uri": "https://evil.example/"}, "request_uri_not_supported"),
        ({"registration": "{}"}, "registration_not_supported"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "consent none"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"prompt": "LOGIN"}, "invalid_request"),
        ({"prompt": "select_account"}, "account_selection_required"),
        ({"resource": "https://other.example"}, "invalid_target"),
        ({"resource": f"{PUBLIC_URL}.evil.example"}, "invalid_target"),
        ({"resource": f"{PUBLIC_URL}/api"}, "invalid_target"),
        ({"resource": f"{PUBLIC_URL}/#x"}, "invalid_target"),
        ({"resource": f"{PUBLIC_URL}//"}, "invalid_target"),
        ({"resource": "name"}, "invalid_target"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"max_age": "1.5"}, "invalid_request"),
        ({"max_age": "\u0661"}, "invalid_request"),
        ({"max_age": "9" * 11}, "invalid_request"),
    ],
    ids=lambda value: str(value)[:60],
)
async def test_every_other_fault_is_told_to_the_client(service: Service, changes: dict[str, Any], error: str) -> None:
    """With the code of its RFC, the state and the issuer."""
    client = await register(service)
    told = await refused(service, query(client, **changes))
    assert told == {"error": error, "state": STATE, "iss": PUBLIC_URL}


@pytest.mark.parametrize(
    ("prompt", "read"),
    [(None, set()), ("", set()), ("login", {"login"}), ("consent  login", {"login", "consent"}), ("none", {"none"})],
)
async def test_prompts_are_read(service: Service, prompt: str | None, read: set[str]) -> None:
    """OpenID Connect Core section 3.1.2.1: values with spaces between them."""
    request = await check(service, query(await register(service), prompt=prompt))
    assert request.prompt == read


async def test_the_service_itself_is_the_one_resource(service: Service) -> None:
    """RFC 8707 section 2: it may be named any number of times, and no other beside it."""
    client, own = await register(service), [("resource", PUBLIC_URL), ("resource", f"{PUBLIC_URL}/")]
    for resources in (own[:1], own[1:], own, own * 2, [("resource", "")]):
        await check(service, [*query(client), *resources])
    told = await refused(service, [*query(client), *own, ("resource", "https://other.example")])
    assert told["error"] == "invalid_target"


@pytest.mark.parametrize("name", ["response_type", "scope", "code_challenge", "code_challenge_method", "nonce"])
async def test_a_parameter_that_is_there_twice_is_refused(service: Service, name: str) -> None:
    """RFC 6749 section 3.1: also with the same value, also one that nobody knows."""
    client = await register(service)
    pairs = query(client, nonce="x")
    for value in (dict(pairs)[name], "", "other"):
        for twice in ([*pairs, (name, value)], [(name, value), *pairs]):
            assert await refused(service, twice) == {"error": "invalid_request", "state": STATE, "iss": PUBLIC_URL}


@pytest.mark.parametrize("state", ["two\r\nlines", "\x00", "ä", "\u2028", "\x7f"], ids=ascii)
async def test_a_state_that_is_none_is_not_repeated(service: Service, state: str) -> None:
    """RFC 6749 appendix A.5: printable ASCII. Its length is the client's business."""
    client = await register(service)
    assert await refused(service, query(client, state=state)) == {"error": "invalid_request", "iss": PUBLIC_URL}
    twice = [*query(client), ("state", "other")]
    assert await refused(service, twice) == {"error": "invalid_request", "iss": PUBLIC_URL}
    assert (await check(service, query(client, state="x" * 5000))).state == "x" * 5000
    assert (await refused(service, query(client, state="x" * 5000, scope="x")))["state"] == "x" * 5000


async def test_an_address_keeps_its_own_query(service: Service) -> None:
    """The answer is added to what the client registered."""
    uri = "https://app.example/cb?tenant=1"
    client = await register(service, redirect_uris=[uri])
    request = await check(service, query(client, redirect_uri=uri))
    location = request.answer(error="access_denied")
    assert location.startswith(f"{uri}&error=access_denied&")
    assert parameters(location)[1] == {"tenant": "1", "error": "access_denied", "state": STATE, "iss": PUBLIC_URL}


async def test_a_challenge_is_43_characters() -> None:
    """The control of the tests above: theirs is one."""
    assert len(challenge_of("x")) == 43
