"""Signing in and staying signed in, as a feature."""

from limits import parse as parse_limit

from app.access.guard import Authentication
from app.core.crypto.keys import KeyRing
from app.core.database.database import Database
from app.core.limits.limiter import Limiter
from app.core.services import Services
from app.core.settings.model import Settings
from app.feature import Feature, RetentionJob
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.mailed.recovery import RecoveryService
from app.features.accounts.passwords.hasher import PasswordHasher
from app.features.accounts.service import AccountService
from app.features.sessions.service import SessionService
from app.features.signin.authenticate import BearerAuthenticator
from app.features.signin.events import SignInEvent
from app.features.signin.introspection import TokenIntrospection
from app.features.signin.limits import SignInLimits
from app.features.signin.models import RefreshToken
from app.features.signin.retention import RefreshTokenRetention
from app.features.signin.routes import router
from app.features.signin.service import SignInService
from app.features.signin.tokens import AccessTokens, TokenKey


def provide(services: Services) -> None:
    """Provide sign-ins, and let access tokens say who sends a request."""
    settings, database = services[Settings], services[Database]
    accounts, sessions, hasher = services[AccountService], services[SessionService], services[PasswordHasher]
    tokens = services.add(AccessTokens(settings, services[KeyRing]))
    limits = services.add(SignInLimits(services[Limiter], parse_limit(settings.rate_limit_signin)))
    services.add(SignInService(database, accounts, sessions, hasher, limits, tokens, services[AccountMail]))
    services.add(TokenIntrospection(database, accounts, sessions, tokens))
    services[Authentication].prefer(BearerAuthenticator(tokens, sessions, accounts))
    services[RecoveryService].unlock_with(limits.unlock)


SIGNIN = Feature(
    name="signin",
    uses=("accounts", "sessions"),
    provide=provide,
    api=(router,),
    tables=(RefreshToken,),
    events=(SignInEvent,),
    keys=(TokenKey,),
    purge=(
        RetentionJob(
            "refresh tokens", lambda services: RefreshTokenRetention(services[Database], services[SessionService])
        ),
    ),
)
