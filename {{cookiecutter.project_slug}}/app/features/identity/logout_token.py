"""What a provider sends when a session there has ended (OpenID Connect Back-Channel Logout 1.0 section 2.4)."""

from typing import Any

from authlib.oidc.core import IDToken
from joserfc.errors import InvalidClaimError

from app.core.errors import BadRequest

LOGOUT_TYPE = "logout+jwt"
LONGEST_CLAIM = 255
OLDEST_SECONDS = 600
"""How old a token may be. What it was used once for is known for longer."""

_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class RefusedLogout(BadRequest):
    """A token ends no session. `reason` is for the trail, and holds nothing that was sent."""

    def __init__(self, reason: str) -> None:
        super().__init__("The logout token is refused.")
        self.reason = reason


class LogoutToken(IDToken):  # type: ignore[misc]  # Authlib has no types
    """The claims of a logout token: `sub`, `sid`, or both say which sessions have ended."""

    ESSENTIAL_CLAIMS = ("iss", "aud", "iat", "exp", "jti", "events")

    def validate(self, now: int, leeway: int) -> None:
        """Check the claims as those of an ID token, and what makes them those of a logout; raises `JoseError`."""
        super().validate(now, leeway)
        events, named = self["events"], {name: self[name] for name in ("sub", "sid") if name in self}
        if not isinstance(events, dict) or not isinstance(events.get(_EVENT), dict):
            raise InvalidClaimError("events")
        if "nonce" in self:  # It is an ID token, perhaps of somebody else.
            raise InvalidClaimError("nonce")
        if now - self["iat"] > OLDEST_SECONDS:
            raise InvalidClaimError("iat")
        if not named or not all(map(is_claim, (*named.values(), self["jti"]))):
            raise InvalidClaimError("sub, sid or jti")


def is_claim(value: Any) -> bool:
    """Return whether it is a text that names something, and that every database can hold."""
    return isinstance(value, str) and 0 < len(value) <= LONGEST_CLAIM and value.isprintable()
