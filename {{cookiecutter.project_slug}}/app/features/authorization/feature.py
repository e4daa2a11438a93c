"""Consents and authorization codes, as a feature."""

from app.core.database.personal_data import PersonalData
from app.core.services import Services
from app.feature import Feature
from app.features.accounts.mailed.recovery import MailboxService
from app.features.accounts.mailed.tokens import AccountTokens
from app.features.authorization.grant import AuthorizationCodeGrant
from app.features.authorization.models import AuthorizationCode, Consent
from app.features.authorization.requests import RequestReader
from app.features.authorization.service import AuthorizationService, ConsentEvent
from app.features.oauth.clients.registered import GrantType
from app.features.oauth.grants import GrantTable


def provide(services: Services) -> None:
    """Let users decide about OAuth clients, which get codes for it."""
    services.add(RequestReader(services))
    authorization = services.add(AuthorizationService(services))
    services[GrantTable][GrantType.AUTHORIZATION_CODE] = AuthorizationCodeGrant(services)
    services[AccountTokens].revocations.append(authorization.end_codes)
    services[MailboxService].reset_revocations.append(authorization.end_consents)


AUTHORIZATION = Feature(
    name="authorization",
    uses=("accounts", "oauth", "sessions", "signin"),
    provide=provide,
    tables=(AuthorizationCode, Consent),
    events=(ConsentEvent,),
    personal_data=(
        PersonalData(name="consents", table=Consent),
        PersonalData(name="authorization_codes", table=AuthorizationCode, without=("code_challenge",)),
    ),
)
