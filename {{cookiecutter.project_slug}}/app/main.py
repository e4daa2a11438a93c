"""The composition root: the one place that wires the service. It reads top to bottom.

The ASGI application is `app.main:app`; it is made when it is first asked for, so that importing this module for
`create_app` reads no settings.
"""

import gc
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache, partial

from fastapi import APIRouter, FastAPI
from limits import parse as parse_limit

from app.access.guard import GuardedRoute, route_policies
from app.access.openapi import install_openapi
from app.core.crypto.keys import KeyRing
from app.core.database.database import Database
from app.core.database.migrations import require_current, upgrade
from app.core.database.outages import install_outage_handlers
from app.core.errors import install_error_handlers
from app.core.limits.limiter import Limiter
from app.core.logging.setup import configure_logging
from app.core.mail.delivery import MailDelivery
from app.core.mail.outbox import Outbox
from app.core.mail.transport import mail_transport
from app.core.settings import model as configuration
from app.core.settings.deploy_check import log_findings
from app.core.settings.model import Settings, SettingsError, load_settings
from app.features.accounts.administration import AccountAdministration
from app.features.accounts.mailed.email_change import EmailChangeService
from app.features.accounts.mailed.invitations import InvitationService
from app.features.accounts.mailed.limits import MailLimits
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.mailed.recovery import RecoveryService
from app.features.accounts.mailed.registration import RegistrationService
from app.features.accounts.mailed.routes import router as mailed_router
from app.features.accounts.mailed.tokens import AccountTokens
from app.features.accounts.own_account import OwnAccountService
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.passwords.hasher import PasswordHasher
from app.features.accounts.passwords.policy import PasswordPolicy
from app.features.accounts.routes import router as accounts_router
from app.features.accounts.service import AccountService
from app.features.audit.routes import router as audit_router
from app.features.audit.service import AuditTrail
from app.features.oauth.clients.authentication import ClientAuthentication
from app.features.oauth.clients.registered import PASSWORD_GRANT, GrantType
from app.features.oauth.clients.routes import router as clients_router
from app.features.oauth.clients.service import ClientService
from app.features.oauth.grants import ClientCredentialsGrant, GrantHandler, PasswordGrant, RefreshTokenGrant
from app.features.oauth.routes import metadata_router, router as oauth_router
from app.features.pages.wiring import install_pages, open_pages
from app.features.sessions.routes import router as sessions_router
from app.features.sessions.service import SessionService
from app.features.signin.authenticate import BearerAuthenticator
from app.features.signin.introspection import TokenIntrospection
from app.features.signin.limits import SignInLimits
from app.features.signin.routes import router as signin_router
from app.features.signin.service import SignInService
from app.features.signin.tokens import AccessTokens
from app.features.system.routes import docs_router, health_router, readiness, router as system_router
from app.features.vault.routes import router as vault_router
from app.features.vault.service import VaultService
from app.http.request.allowed_methods import install_allowed_methods
from app.http.stack import middleware

API_PREFIX = "/api/v1"


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the service; raises `SettingsError` for unusable settings, `PolicyError` for a route without one policy."""
    settings = settings or load_settings()
    configure_logging(settings)
    log_findings(settings, configuration.ENV_FILE)
    limiter = Limiter(settings.redis_url, settings.public_url)
    app = FastAPI(
        title=settings.app_name,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        middleware=middleware(settings, limiter),
        lifespan=_lifespan,
    )
    app.router.route_class = GuardedRoute
    keys = KeyRing(settings.secret_key, settings.secret_key_fallbacks)
    _wire(app, settings, limiter, keys)
    _include_routes(app, settings)
    install_pages(app, keys)
    install_error_handlers(app)
    install_outage_handlers(app)
    install_allowed_methods(app)
    install_openapi(app)
    route_policies(app)
    return app


def _wire(app: FastAPI, settings: Settings, limiter: Limiter, keys: KeyRing) -> None:
    """Make every service once, from the lowest up, and put it where the routes find it."""
    database = Database(settings.database_url)
    outbox = Outbox(keys)
    hasher = PasswordHasher()
    tokens = AccessTokens(settings, keys)
    signin_limits = SignInLimits(limiter, parse_limit(settings.rate_limit_signin))
    sessions = SessionService(database, settings, keys)
    policy = PasswordPolicy.of(settings)
    accounts = AccountService(database, hasher, policy)
    app.state.settings = settings
    app.state.database = database
    app.state.audit = AuditTrail(database, keys)
    app.state.limiter = limiter
    app.state.readiness = readiness(database, limiter)
    app.state.outbox = outbox
    app.state.mail_delivery = MailDelivery(database, outbox, partial(mail_transport, settings))
    app.state.hasher = hasher
    app.state.sessions = sessions
    app.state.accounts = accounts
    app.state.account_tokens = AccountTokens()
    _wire_accounts_by_mail(app, policy, signin_limits, keys)
    mail = app.state.account_mail
    app.state.signin = SignInService(database, accounts, sessions, hasher, signin_limits, tokens, mail)
    app.state.vault = VaultService(database, settings, keys)
    app.state.authenticate = BearerAuthenticator(tokens, sessions, accounts)
    app.state.introspection = TokenIntrospection(database, accounts, sessions, tokens)
    _wire_oauth(app, keys)


def _wire_accounts_by_mail(app: FastAPI, policy: PasswordPolicy, signin_limits: SignInLimits, keys: KeyRing) -> None:
    """Make what sends mail about accounts, or takes a token that came by mail."""
    state = app.state
    settings: Settings = state.settings
    limit = parse_limit(settings.rate_limit_signin)
    mail = AccountMail(state.outbox, settings, f"{settings.public_url}{API_PREFIX}")
    limits = MailLimits(state.limiter, limit)
    tokens = state.account_tokens
    database, sessions, hasher = state.database, state.sessions, state.hasher
    confirmation = PasswordConfirmation(database, hasher, state.limiter, limit)
    state.account_mail = mail
    state.confirmation = confirmation
    state.administration = AccountAdministration(database, sessions, tokens, mail, keys)
    state.own_account = OwnAccountService(database, sessions, hasher, policy, confirmation, tokens, mail)
    state.registration = RegistrationService(database, hasher, policy, tokens, mail, limits)
    state.recovery = RecoveryService(database, sessions, hasher, policy, tokens, mail, limits, signin_limits.unlock)
    state.email_changes = EmailChangeService(database, confirmation, tokens, mail, limits)
    state.invitations = InvitationService(database, sessions, tokens, mail, limits)


def _wire_oauth(app: FastAPI, keys: KeyRing) -> None:
    """Make what OAuth clients are registered, known and served by; which grants there are is said here alone."""
    state = app.state
    settings: Settings = state.settings
    database, accounts, sessions, signin = state.database, state.accounts, state.sessions, state.signin
    grants: dict[str, GrantHandler] = {GrantType.REFRESH_TOKEN: RefreshTokenGrant(signin)}
    clients = ClientService(database, sessions, keys, grants)
    grants[GrantType.CLIENT_CREDENTIALS] = ClientCredentialsGrant(database, accounts, clients, signin)
    if settings.oauth_password_grant:
        grants[PASSWORD_GRANT] = PasswordGrant(signin)
    authentication = ClientAuthentication(clients, state.limiter, parse_limit(settings.rate_limit_signin))
    state.grants = grants
    state.clients = clients
    state.client_authentication = authentication
    state.authenticate_caller = authentication.caller


@cache
def _api() -> APIRouter:
    """The routes of the API. They depend on no setting, and to make them takes time: once for the process."""
    api = APIRouter(prefix=API_PREFIX, route_class=GuardedRoute)
    features = (
        system_router,
        signin_router,
        accounts_router,
        mailed_router,
        sessions_router,
        clients_router,
        audit_router,
        vault_router,
    )
    for router in features:
        api.include_router(router)
    return api


def _include_routes(app: FastAPI, settings: Settings) -> None:
    docs = docs_router(production=settings.production)
    for router in (health_router, docs, oauth_router, metadata_router, _api()):
        # As they are: nothing of the application is to be added to them.
        app.router.routes.extend(router.routes)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Stand on a current schema before the first request, deliver mail meanwhile; close everything after the last."""
    settings: Settings = app.state.settings
    database: Database = app.state.database
    try:
        if not settings.production:
            await upgrade(settings.database_url)
        await require_current(database)
        async with app.state.audit.recording(), app.state.mail_delivery.running():
            await open_pages(app)
            yield
    finally:
        app.state.hasher.close()
        await app.state.limiter.close()
        await database.close()


def __getattr__(name: str) -> FastAPI:
    """Make `app` when a server asks for it; unusable settings end the process with a readable message."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        app = create_app()
    except SettingsError as error:
        sys.exit(str(error))
    globals()["app"] = app
    # What the service is made of stays. To look for garbage among it would stop every request for 50 ms.
    gc.collect()
    gc.freeze()
    return app
