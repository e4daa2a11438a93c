"""OAuth clients and the endpoints for them, as a feature."""

from app.access.guard import Authentication
from app.access.roles import ADMINISTRATORS
from app.core.services import Services
from app.core.settings.model import Settings
from app.feature import Feature
from app.features.oauth.clients.authentication import ClientAuthentication
from app.features.oauth.clients.registered import PASSWORD_GRANT, GrantType
from app.features.oauth.clients.routes import router as clients_router
from app.features.oauth.clients.service import ClientService
from app.features.oauth.events import ClientEvent
from app.features.oauth.grants import GrantTable, OwnGrants
from app.features.oauth.models import OAuthClient
from app.features.oauth.permissions import ClientPermission
from app.features.oauth.routes import metadata_router, router


def provide(services: Services) -> None:
    """Provide the clients, and the grants that need no page."""
    grants = services.add(GrantTable())
    services.add(ClientService(services, grants))
    own = OwnGrants(services)
    grants |= {GrantType.REFRESH_TOKEN: own.refresh_token, GrantType.CLIENT_CREDENTIALS: own.client_credentials}
    if services[Settings].oauth_password_grant:
        grants[PASSWORD_GRANT] = own.password
    services[Authentication].caller_of = services.add(ClientAuthentication(services)).caller


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
