"""One OpenID Connect provider: where to send the browser, and who came back (OpenID Connect Core section 3.1).

Nothing that it says is believed before the signature is checked, with a key of its own and an algorithm of this list.
"""

import asyncio
import hmac
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx2
import structlog
from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuthError
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, JWKRegistry, Key

from app.core.clock import utc_now
from app.core.crypto import new_token
from app.core.errors import BadRequest, Problem, Unavailable
from app.features.identity.fetch import SECONDS, ProviderTransport, RefusedFetchError
from app.features.identity.logout_token import LOGOUT_TYPE, LogoutToken, RefusedLogout, is_claim
from app.features.identity.settings import Provider

# Asymmetric ones alone: for HS256 the public key would be the secret (RFC 8725 section 3.1).
_ALGORITHMS = [f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)]
_KEY_TYPES = {"R": "RSA", "P": "RSA", "E": "EC"}
FACTOR_SECONDS = 24 * 3600
"""How long ago a provider may have asked for a second factor that counts here."""

_LEEWAY_SECONDS = 60
_LONGEST_TOKEN = 32 * 1024
_FRESH_SECONDS = 3600
_KEYS_AGAIN_SECONDS = 60
"""How soon keys are fetched again for a token with a key that is not among them."""
_RETRY_SECONDS = 30
_UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
_log = structlog.get_logger(__name__)


class ProviderFaultError(Problem):
    """A provider said what cannot be true. `reason` is for log and trail, and holds nothing that it sent."""

    status, title = 502, "Bad Gateway"

    def __init__(self, provider: Provider, reason: str) -> None:
        text = "did not answer as it should. Nobody was signed in. Sign in another way, or later."
        super().__init__(f"{provider.label} {text}")
        self.reason = reason
        _log.warning("identity provider is at fault", provider=provider.name, reason=reason)


class Attempt(NamedTuple):
    """The secret of one sign-in, which stays with its browser: what is sent is derived from it."""

    secret: str

    @classmethod
    def new(cls) -> "Attempt":
        """Make an attempt."""
        return cls(new_token())

    def part(self, name: str) -> str:
        """Return `state`, `nonce` or `verifier`: none tells another."""
        mac = hmac.digest(self.secret.encode(), name.encode(), "sha256")
        return urlsafe_b64encode(mac).decode().rstrip("=")


class ProviderClient:
    """Speaks with one provider. Its documents and keys are kept for an hour."""

    scope = "openid email"

    def __init__(self, provider: Provider, redirect_uri: str) -> None:
        self.provider = provider
        self._redirect_uri = redirect_uri
        self._metadata: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, list[Key]] | None = None

    async def authorization_url(self, attempt: Attempt, *, again: bool) -> str:
        """Return where to send the browser; `again` asks for the person's proof, and not for the provider's cookie.

        Raises `Unavailable` if the provider is down, `ProviderFaultError`.
        """
        async with self._client() as client:
            metadata = await self._discover(client)
            more = {"nonce": attempt.part("nonce")}
            if again or self.provider.second_factor:  # Only who is asked for an age has to tell it.
                more["max_age"] = "0" if again else str(FACTOR_SECONDS)
            state, verifier = attempt.part("state"), attempt.part("verifier")
            url, _ = client.create_authorization_url(metadata["authorization_endpoint"], state, verifier, **more)
        return str(url)

    async def claims(self, attempt: Attempt, code: str, issuer: str | None) -> dict[str, Any]:
        """Exchange a code for the verified claims about who signed in; `issuer` came with the code (RFC 9207).

        Raises `BadRequest` for another issuer, `Unavailable`, `ProviderFaultError`.
        """
        async with self._client() as client:
            metadata = await self._discover(client)
            demanded = metadata.get("authorization_response_iss_parameter_supported") is True
            if demanded if issuer is None else not self._accepts(issuer):
                raise BadRequest("The answer is not from the provider that was asked.")
            methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
            client.token_endpoint_auth_method = (
                "client_secret_basic" if "client_secret_basic" in methods else "client_secret_post"
            )
            tokens = await client.fetch_token(
                metadata["token_endpoint"], code=code, code_verifier=attempt.part("verifier")
            )
            return await self._verify(client, tokens, attempt.part("nonce"))

    async def logout_claims(self, token: str) -> dict[str, Any]:
        """Return what the verified logout token of the provider says.

        Raises `RefusedLogout`, `Unavailable` if its keys cannot be fetched, `ProviderFaultError`.
        """
        try:
            header = jws.extract_compact(token.encode()).headers()  # not verified yet
            if header["typ"].lower().removeprefix("application/") != LOGOUT_TYPE:
                raise RefusedLogout("it is no logout token")
            async with self._client() as client:
                keys = await self._keys_for(client, header.get("kid"))
            decoded = jwt.decode(token, lambda signature: _key_of(signature, keys), algorithms=_ALGORITHMS)
            params = {"client_id": self.provider.client_id}
            claims = LogoutToken(decoded.claims, decoded.header, self._expected(), params)
            claims.validate(int(utc_now().timestamp()), _LEEWAY_SECONDS)
        except JoseError as error:
            raise RefusedLogout(error.error) from None
        except _UNREADABLE as error:
            raise RefusedLogout(f"unreadable: {type(error).__name__}") from None
        return dict(claims)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[AsyncOAuth2Client]:
        """Make a client for one exchange, and give what goes wrong in it one of two names."""
        own, label = self.provider, self.provider.label
        try:
            async with (
                asyncio.timeout(2 * SECONDS),
                AsyncOAuth2Client(
                    own.client_id,
                    own.client_secret.get_secret_value(),
                    scope=self.scope,
                    code_challenge_method="S256",
                    redirect_uri=self._redirect_uri,
                    transport=ProviderTransport(own),
                    timeout=SECONDS,
                    trust_env=False,
                    headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                ) as client,
            ):
                yield client
        except (TimeoutError, OSError, httpx2.TransportError, httpx2.HTTPStatusError) as error:
            _log.warning("identity provider is down", provider=own.name, reason=type(error).__name__)
            raise Unavailable(
                f"{label} does not answer. Sign in another way, or try again later.", retry_after=_RETRY_SECONDS
            ) from None
        except OAuthError as error:
            if error.error in {"invalid_grant", "bad_verification_code"}:  # the second is GitHub's
                raise BadRequest(f"{label} does not know this sign-in any more. Begin again.") from None
            raise ProviderFaultError(own, "the token endpoint refuses this service") from None
        except RefusedFetchError as error:
            raise ProviderFaultError(own, str(error)) from None
        except JoseError as error:
            raise ProviderFaultError(own, f"ID token: {error.error}") from None
        except _UNREADABLE as error:
            raise ProviderFaultError(own, f"unreadable: {type(error).__name__}") from None

    def _accepts(self, issuer: str) -> bool:
        return issuer == self.provider.issuer

    async def _discover(self, client: AsyncOAuth2Client) -> dict[str, Any]:
        """Return the discovery document of the issuer, and of no other (OpenID Connect Discovery section 4.3)."""
        if self._metadata is None or monotonic() - self._metadata[0] > _FRESH_SECONDS:
            url = f"{self.provider.issuer.removesuffix('/')}/.well-known/openid-configuration"
            found = await fetch(client, url)
            if found.get("issuer") != self.provider.issuer:
                raise RefusedFetchError("the discovery document is of another issuer")
            self._require_address(found["authorization_endpoint"])
            self._metadata = monotonic(), found
        return self._metadata[1]

    def _require_address(self, url: str) -> None:
        """Refuse an address that the browser is not to be sent to."""
        scheme = urlsplit(self.provider.issuer).scheme
        if not (url.startswith(f"{scheme}://") and url.isascii() and url.isprintable() and " " not in url):
            raise RefusedFetchError("the authorization endpoint is no https address")

    async def _verify(self, client: AsyncOAuth2Client, tokens: dict[str, Any], nonce: str) -> dict[str, Any]:
        """Check the ID token (OpenID Connect Core section 3.1.3.7)."""
        id_token = tokens["id_token"]
        if len(id_token) > _LONGEST_TOKEN:
            raise RefusedFetchError("the ID token is too large")
        header = jws.extract_compact(id_token.encode()).headers()  # not verified yet
        keys = await self._keys_for(client, header.get("kid"))
        decoded = jwt.decode(id_token, lambda signature: _key_of(signature, keys), algorithms=_ALGORITHMS)
        params = {"nonce": nonce, "client_id": self.provider.client_id, "access_token": tokens.get("access_token")}
        claims = CodeIDToken(decoded.claims, decoded.header, self._expected(), params)
        claims.validate(now=int(utc_now().timestamp()), leeway=_LEEWAY_SECONDS)
        if not is_claim(claims["sub"]):
            raise RefusedFetchError("the subject is none")
        return dict(claims)

    def _expected(self) -> dict[str, Any]:
        """Return the rules for whom a token is from and for."""
        own = (("iss", self.provider.issuer), ("aud", self.provider.client_id))
        return {name: {"essential": True, "value": value} for name, value in own}

    async def _keys_for(self, client: AsyncOAuth2Client, key_id: object) -> list[Key]:
        """Return the issuer's keys, fetched again if the key is not among them, but once a minute at most."""
        since, keys = self._keys or (float("-inf"), [])
        age, known = monotonic() - since, any(key.kid == key_id for key in keys)
        if age > _FRESH_SECONDS or (not known and age > _KEYS_AGAIN_SECONDS):
            found = await fetch(client, (await self._discover(client))["jwks_uri"])
            usable = [key for key in found["keys"] if key.get("use", "sig") == "sig" and key["kty"] in {"RSA", "EC"}]
            self._keys = _, keys = monotonic(), [JWKRegistry.import_key(key) for key in usable]
        return keys


def _key_of(signature: GuestProtocol, keys: list[Key]) -> Key:
    """Return the key that the header names, or the only one of its algorithm's kind; never one from the token."""
    header = signature.headers()
    kind = _KEY_TYPES[header["alg"][0]]
    (key,) = (key for key in keys if key.key_type == kind and header.get("kid") in (None, key.kid))
    return key


async def fetch(client: AsyncOAuth2Client, url: str, kind: type = dict, *, withhold_token: bool = True) -> Any:
    """Return a JSON object, or a list."""
    response = await client.request("GET", url, withhold_token=withhold_token)
    if response.is_server_error:
        response.raise_for_status()
    document = response.json() if response.is_success else None
    if not isinstance(document, kind):
        raise RefusedFetchError("a document is none")
    return document
