"""OAuth clients and the endpoints for them, as a feature."""

from limits import parse as parse_limit

from app.access.guard import Authentication
from app.access.roles import ADMINISTRATORS, RoleTable
from app.core.crypto import KeyRing
from app.core.database.database import Database
from app.core.limits import Limiter
from app.core.pagination import Cursors
from app.core.services import Services
from app.core.settings.model import Settings
from app.feature import Feature
from app.features.accounts.administration import Authority
from app.features.accounts.service import AccountService
from app.features.oauth.clients.authentication import ClientAuthentication
from app.features.oauth.clients.registered import PASSWORD_GRANT, GrantType
from app.features.oauth.clients.routes import router as clients_router
from app.features.oauth.clients.service import ClientService
from app.features.oauth.events import ClientEvent
from app.features.oauth.grants import GrantTable, OwnGrants
from app.features.oauth.models import OAuthClient
from app.features.oauth.permissions import ClientPermission
from app.features.oauth.routes import metadata_router, router
from app.features.sessions.service import SessionService
from app.features.signin.service import SignInService


def provide(services: Services) -> None:
    """Provide the clients, and the grants that need no page."""
    settings, database, signin = services[Settings], services[Database], services[SignInService]
    grants = services.add(GrantTable())
    sessions, authority, roles = services[SessionService], services[Authority], services[RoleTable]
    cursors = Cursors(services[KeyRing], "clients")
    clients = services.add(ClientService(database, sessions, authority, roles, cursors, grants))
    own = OwnGrants(database, services[AccountService], clients, signin)
    grants |= {GrantType.REFRESH_TOKEN: own.refresh_token, GrantType.CLIENT_CREDENTIALS: own.client_credentials}
    if settings.oauth_password_grant:
        grants[PASSWORD_GRANT] = own.password
    limit = parse_limit(settings.rate_limit_signin)
    authentication = services.add(ClientAuthentication(clients, services[Limiter], limit))
    services[Authentication].caller_of = authentication.caller


OAUTH = Feature(
    name="oauth",
    uses=("accounts", "sessions", "signin"),
    provide=provide,
    api=(clients_router,),
    root=(router, metadata_router),
    tables=(OAuthClient,),
    grants=dict.fromkeys(ClientPermission, ADMINISTRATORS),
    events=(ClientEvent,),
)
