"""Signing in and staying signed in, as a feature."""

from app.access.guard import Authentication
from app.core.database.personal_data import PersonalData
from app.core.services import Services
from app.feature import Feature, RetentionJob
from app.features.accounts.mailed.recovery import MailboxService
from app.features.accounts.mailed.tokens import AccountTokens
from app.features.sessions.service import SessionService
from app.features.signin.events import SignInEvent
from app.features.signin.limits import SignInLimits
from app.features.signin.models import RefreshToken, UnfinishedSignIn
from app.features.signin.password import PasswordSignIn, end_unfinished
from app.features.signin.routes import router
from app.features.signin.service import SignInService
from app.features.signin.tokens import TOKEN_KEY, AccessTokens, BearerAuthenticator


def provide(services: Services) -> None:
    """Provide sign-ins, and let access tokens say who sends a request."""
    services.add(AccessTokens(services))
    services[MailboxService].unlock = services.add(SignInLimits(services)).unlock
    services.add(PasswordSignIn(services))
    services.add(SignInService(services))
    services[Authentication].prefer(BearerAuthenticator(services))
    services[AccountTokens].revocations.append(end_unfinished)


SIGNIN = Feature(
    name="signin",
    uses=("accounts", "factors", "sessions"),
    provide=provide,
    api=(router,),
    tables=(RefreshToken, UnfinishedSignIn),
    events=(SignInEvent,),
    keys=(TOKEN_KEY,),
    personal_data=(
        PersonalData(name="unfinished_sign_ins", table=UnfinishedSignIn),
        PersonalData(name="refresh_tokens", table=RefreshToken, owner="session_id"),
    ),
    purge=(
        # While a session is alive, used ones stay: a reuse must be noticed.
        RetentionJob(
            "refresh tokens",
            RefreshToken,
            lambda services, before: services[SessionService].is_over(RefreshToken.session_id, before),
        ),
        RetentionJob("unfinished sign-ins", UnfinishedSignIn, lambda _, before: UnfinishedSignIn.expires_at < before),
    ),
)
