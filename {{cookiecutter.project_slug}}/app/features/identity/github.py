"""GitHub, which has OAuth 2 and no OpenID Connect: who signed in is who its API says that the token belongs to."""

from contextlib import suppress
from typing import Any

from authlib.integrations.httpx_client import AsyncOAuth2Client

from app.features.identity.fetch import RefusedFetchError
from app.features.identity.logout_token import RefusedLogout
from app.features.identity.provider import ProviderClient, fetch
from app.features.identity.settings import GITHUB


class GitHubClient(ProviderClient):
    """Speaks with github.com, or with a GitHub Enterprise Server. Its addresses are known, and follow from the issuer.

    An answer comes over TLS from its API, with a token that was just got there for a code of this sign-in (PKCE).
    """

    scope = "user:email"

    async def logout_claims(self, token: str) -> dict[str, Any]:
        """Refuse every logout: GitHub sends none."""
        del token
        raise RefusedLogout("the provider has no logout")

    def _accepts(self, issuer: str) -> bool:
        """Return whether `iss` of an answer is GitHub's, by the name that its authorization server has."""
        return issuer == f"{self.provider.issuer}/login/oauth" or super()._accepts(issuer)

    async def _discover(self, client: AsyncOAuth2Client) -> dict[str, Any]:
        del client
        base = f"{self.provider.issuer}/login/oauth"
        return {
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/access_token",
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        }

    async def _verify(self, client: AsyncOAuth2Client, tokens: dict[str, Any], nonce: str) -> dict[str, Any]:
        """Ask for the user's id, which is never given to another, and for the address that GitHub has verified."""
        del tokens, nonce  # The client has them; GitHub knows no nonce.
        own = self.provider.issuer
        api, emails = "https://api.github.com" if own == GITHUB else f"{own}/api/v3", []
        user = await fetch(client, f"{api}/user", withhold_token=False)
        with suppress(RefusedFetchError):  # The user, or the app, does not let it be seen.
            emails = await fetch(client, f"{api}/user/emails", list, withhold_token=False)
        if type(user["id"]) is not int or not 0 < user["id"] < 2**63:
            raise RefusedFetchError("the subject is none")
        chosen = [each["email"] for each in emails if each["primary"] is True and each["verified"] is True]
        about = {"email": chosen[0], "email_verified": True} if len(chosen) == 1 else {}
        return {"sub": str(user["id"]), **about}
