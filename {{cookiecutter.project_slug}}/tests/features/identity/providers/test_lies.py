"""Providers that lie, are slow or down, and browsers that bring what is not theirs: nobody is signed in."""

import gzip
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from app.features.identity.fetch import LARGEST, is_public
from app.features.identity.routes import Providers
from tests.features.identity.providers.issuer import CLIENT_ID, CLIENT_SECRET, KEY, OTHER_KEY, Issuer
from tests.features.identity.steps import at_provider, begin, last_event, linked, sign_in
from tests.support.pages.browser import Browser, text_of
from tests.support.service import Service

pytestmark = pytest.mark.anyio

Lie = Callable[[Issuer], Any]


def claims(**values: Any) -> Lie:
    """Say something else in the ID token; None leaves a claim out."""
    return lambda issuer: issuer.claims.update(values)


def header(**values: Any) -> Lie:
    """Say something else in its header."""
    return lambda issuer: issuer.header.update(values)


def signed(sign: Callable[[dict[str, Any], dict[str, Any]], str]) -> Lie:
    """Sign it in another way."""
    return lambda issuer: setattr(issuer, "sign", sign)


def _text(*parts: object) -> str:
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)


def _with_secret(secret: bytes) -> Lie:
    def sign(_: dict[str, Any], said: dict[str, Any]) -> str:
        text = _text({"alg": "HS256", "kid": "one"}, said)
        mac = hmac.digest(secret, text.encode(), "sha256")
        return f"{text}.{urlsafe_b64encode(mac).decode().rstrip('=')}"

    return signed(sign)


def signed_as(header: dict[str, Any], said: dict[str, Any]) -> str:
    """Sign under a header that no library writes."""
    text = _text(header, said)
    signature = KEY.raw_value.sign(text.encode(), PKCS1v15(), SHA256())  # type: ignore[union-attr]  # it is private
    return f"{text}.{urlsafe_b64encode(signature).decode().rstrip('=')}"


def _with_own_key(issuer: Issuer) -> None:
    issuer.key = OTHER_KEY
    issuer.header |= {"jwk": OTHER_KEY.as_dict(private=False)}


def answers(path: str, status: int = 200, body: bytes = b"{}", **headers: str) -> Lie:
    """Answer with something else."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda issuer: issuer.answers.update({path: lambda: (status, named, body)})


NOW = int(time.time())
LIES: dict[str, Lie] = {
    "another nonce": claims(nonce="another"),
    "no nonce": claims(nonce=None),
    "another issuer": claims(iss="https://accounts.google.com"),
    "no issuer": claims(iss=None),
    "another audience": claims(aud="another"),
    "another audience, and this service as azp": claims(aud="another", azp=CLIENT_ID),
    "no audience": claims(aud=None),
    "two audiences and no azp": claims(aud=[CLIENT_ID, "another"]),
    "another azp": claims(aud=[CLIENT_ID, "another"], azp="another"),
    "expired": claims(exp=NOW - 3600),
    "no expiry": claims(exp=None),
    "from the future": claims(iat=NOW + 3600),
    "another access token": claims(at_hash="AAAAAAAAAAAAAAAAAAAAAA"),
    "no subject": claims(sub=None),
    "a subject that is no text": claims(sub=["one"]),
    "a long subject": claims(sub="s" * 256),
    "a subject with a NUL": signed(lambda header, said: signed_as(header, {**said, "sub": "a\0b"})),
    "a subject with half of a character": signed(lambda header, said: signed_as(header, {**said, "sub": "\ud800"})),
    "another key": lambda issuer: setattr(issuer, "key", OTHER_KEY),
    "a key of its own in the header": _with_own_key,
    "an unknown key": header(kid="nobody's"),
    "an unknown critical header": signed(lambda header, said: signed_as({**header, "crit": ["exp"], "exp": 1}, said)),
    "no signature": signed(lambda _, said: _text({"alg": "none"}, said) + "."),
    "HS256 with the public key": _with_secret(KEY.as_pem(private=False)),
    "HS256 with the secret of the client": _with_secret(CLIENT_SECRET.encode()),
    "no JWT": signed(lambda *_: "nothing"),
    "a huge token": signed(lambda *_: "a" * 40_000),
    "no ID token": answers("/token", body=b'{"access_token": "a", "token_type": "Bearer"}'),
    "a list of tokens": answers("/token", body=b"[]"),
    "a huge answer": answers("/token", body=b" " * (LARGEST + 1)),
    "a deep answer": answers("/token", body=b"[" * 100_000),
    "an answer that unpacks": answers("/token", body=gzip.compress(b" " * 10**7), Content_Encoding="gzip"),
    "a token endpoint that redirects": answers("/token", 307, Location="/token2"),
    "an unknown client": answers("/token", 401, b'{"error": "invalid_client", "error_description": "CANARY"}'),
    "keys that redirect": answers("/keys", 302, Location="http://127.0.0.1:9/"),
    "no keys": answers("/keys"),
    "keys that are secrets": answers("/keys", body=b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "one"}]}'),
    "huge keys": answers("/keys", body=b'{"keys": [' + b'{"kty": "RSA"},' * 30_000 + b"]}"),
    "keys at a private address": lambda issuer: issuer.discovery.update(jwks_uri="https://10.0.0.1/keys"),
    "keys on another port here": lambda issuer: issuer.discovery.update(jwks_uri="https://127.0.0.1:9/keys"),
    "keys by plain HTTP": lambda issuer: issuer.discovery.update(jwks_uri="http://keys.example/"),
    "keys in a file": lambda issuer: issuer.discovery.update(jwks_uri="file:///etc/passwd"),
    "tokens at a private address": lambda issuer: issuer.discovery.update(token_endpoint="https://[::1]/token"),
}


# Without the rule, another one would refuse these too, later.
REASONS = {
    "a huge token": "the ID token is too large",
    "a huge answer": "a document is too large",
    "huge keys": "a document is too large",
    "an answer that unpacks": "a document is compressed, though nobody asked for that",
    "keys that redirect": "a document is none",
    "keys at a private address": "an address is not public",
    "keys on another port here": "an address is not public",
    "tokens at a private address": "an address is not public",
    "keys by plain HTTP": "an address is not https",
    "keys in a file": "an address is not https",
}


@pytest.mark.asvs("6.8.2", "9.1.1", "9.1.2", "9.2.1", "9.2.3", "10.5.1", "10.5.3", "10.5.4", "1.3.6", "15.3.2")
async def test_a_lie_signs_nobody_in(service: Service, good: Issuer) -> None:
    """A page with words, 502, and the reason for the operator alone; the password opens the account still."""
    person, _ = await linked(service, good)
    client, linked_as = service[Providers]["good"], good.person
    for name, lie in LIES.items():
        good.reset()
        good.person = linked_as
        client._metadata = client._keys = None  # noqa: SLF001  # as after an hour
        lie(good)
        browser = Browser(service)
        answer = await sign_in(browser)
        assert answer.status_code == 502, name
        assert "Good did not answer as it should." in text_of(answer), name
        assert "CANARY" not in answer.text
        assert browser.cookie is None
        action, _, details = await last_event(service)
        assert (action, details["method"], details["provider"]) == ("signin_failed", "fed", "good"), name
        assert details["reason"] not in {"", "ProviderFaultError"}, name
        assert details["reason"] == REASONS.get(name, details["reason"]), name
    assert (await Browser(service).sign_in(person)).status_code == 303


DISCOVERY = "/.well-known/openid-configuration"
AT_ONCE: dict[str, tuple[Lie, int]] = {
    "down": (answers(DISCOVERY, 500), 503),
    "nothing there": (answers(DISCOVERY, 404), 502),
    "no JSON": (answers(DISCOVERY, body=b"<html>"), 502),
    "huge": (answers(DISCOVERY, body=b" " * (LARGEST + 1)), 502),
    "of another issuer": (lambda issuer: issuer.discovery.update(issuer="https://accounts.google.com"), 502),
    "a redirect": (answers(DISCOVERY, 302, Location="https://evil.example/"), 502),
    "a script": (lambda issuer: issuer.discovery.update(authorization_endpoint="javascript:alert(1)"), 502),
    "a second header": (lambda issuer: issuer.discovery.update(authorization_endpoint=f"{issuer.url}/\r\nX: y"), 502),
    "no endpoint": (lambda issuer: issuer.discovery.update(authorization_endpoint=None), 502),
    "slow": (lambda issuer: setattr(issuer, "seconds", 1.0), 503),
}


@pytest.mark.asvs("16.5.2", "13.1.3")
async def test_a_provider_that_is_down_is_a_page(
    service: Service, good: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with `Retry-After`, or 502 for nonsense; the browser goes nowhere, and can give a password."""
    monkeypatch.setattr("app.features.identity.provider.SECONDS", 0.3)
    for name, (lie, status) in AT_ONCE.items():
        good.reset()
        lie(good)
        answer = await Browser(service).post("/login/with/good")
        assert answer.status_code == status, name
        assert ("Retry-After" in answer.headers) == (status == 503)
        assert "Refresh" not in answer.headers
        assert "Good did" in text_of(answer) or "Good does not answer" in text_of(answer), name
        assert 'action="/login"' in answer.text


async def test_a_provider_that_nobody_reaches_is_a_page(service: Service, good: Issuer) -> None:
    """Also if that is so only when the browser comes back."""
    good.answers["/token"] = lambda: (503, {}, b"")
    answer = await sign_in(Browser(service))
    assert answer.status_code == 503
    assert "Good does not answer" in text_of(answer)


@pytest.mark.asvs("10.2.1", "10.2.2", "10.1.2", "7.6.2")
async def test_an_answer_is_for_its_browser_once_and_from_whom_was_asked(
    service: Service, good: Issuer, issuers: dict[str, Issuer]
) -> None:
    """No cookie, that of another browser, of another provider, another state, mixed-up issuer, once more: all 400."""
    await linked(service, good)
    browser, other = Browser(service), Browser(service)
    path = await at_provider(await begin(browser))
    assert (await Browser(service).get(path)).status_code == 400
    await begin(other)
    assert (await other.get(path)).status_code == 400
    # RFC 9207: the answer of one provider, at the address of the other.
    await begin(browser, "/login/with/other")
    assert (await browser.get(path.replace("/good?", "/other?"))).status_code == 400
    changes = (("iss=", "iss=x"), ("&iss=", "&x="), ("state=", "state=x"), ("code=", "error=access_denied&x="))
    for was, now in changes:
        path = await at_provider(await begin(browser))
        answer = await browser.get(path.replace(was, now))
        assert answer.status_code == 400, path
        assert "Begin again" in text_of(answer) or "not from the provider" in text_of(answer)
    path = await at_provider(await begin(browser))
    cookie = browser.client.cookies["__Host-identity"]
    good.asked.clear()
    assert (await browser.get(path)).status_code == 303
    assert good.asked == ["/token"]
    browser.client.cookies.clear()
    browser.client.cookies.set("__Host-identity", cookie, domain=browser.client.base_url.host)
    assert (await browser.get(path)).status_code == 400
    assert good.asked == ["/token"]
    assert browser.cookie is None
    assert issuers["other"].asked == [DISCOVERY, "/authorize"] or issuers["other"].asked == [DISCOVERY]


@pytest.mark.asvs("3.3.1", "3.3.2", "3.3.4")
async def test_what_is_under_way_is_sealed_and_short_lived(
    service: Service, good: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cookie is `__Host-`, for HTTP alone, tells nothing, and ends after ten minutes, whatever a browser does."""
    browser = Browser(service)
    answer = await browser.post("/login/with/good")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-identity=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure", "Max-Age=600"} <= set(cookie.split("; "))
    state = answer.headers["Refresh"].partition("&state=")[2].partition("&")[0]
    assert state not in cookie
    path = await at_provider(answer.headers["Refresh"].removeprefix("0; url="))
    later = datetime.fromtimestamp(time.time() + 601, UTC)
    monkeypatch.setattr("app.features.identity.routes.utc_now", lambda: later)
    assert (await browser.get(path)).status_code == 400


@pytest.mark.asvs("9.1.3")
async def test_another_key_is_fetched_once_a_minute(
    service: Service, good: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A provider that rotates its keys signs people in; a stranger's key ids make it answer no more often."""
    await linked(service, good)
    good.key = OTHER_KEY
    good.header["kid"] = "two"
    good.keys = [KEY, type(OTHER_KEY).import_key({**OTHER_KEY.as_dict(private=False), "kid": "two"})]
    assert (await sign_in(Browser(service))).status_code == 502
    monkeypatch.setattr("app.features.identity.provider._KEYS_AGAIN_SECONDS", 0)
    assert (await sign_in(Browser(service))).status_code == 303
    monkeypatch.undo()
    good.asked.clear()
    good.header["kid"] = "three"
    for _ in range(3):
        assert (await sign_in(Browser(service))).status_code == 502
    assert "/keys" not in good.asked


@pytest.mark.asvs("1.3.6", "13.2.4")
def test_which_addresses_are_of_the_internet() -> None:
    """No private, loopback, link-local or shared one, nor one of those inside of an IPv6 address."""
    public = ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808")
    private = (
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104  # no place to listen on
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:127.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
    )
    assert [is_public(address) for address in public] == [True] * len(public)
    assert [is_public(address) for address in private] == [False] * len(private)
