"""Consents and authorization codes, as a feature."""

from app.core.database.database import Database
from app.core.database.personal_data import PersonalData
from app.core.services import Services
from app.core.settings.model import Settings
from app.feature import Feature
from app.features.accounts.mailed.mails import AccountMail
from app.features.accounts.mailed.recovery import RecoveryService
from app.features.accounts.mailed.tokens import AccountTokens
from app.features.accounts.service import AccountService
from app.features.authorization.grant import AuthorizationCodeGrant
from app.features.authorization.models import AuthorizationCode, Consent
from app.features.authorization.requests import RequestReader
from app.features.authorization.service import AuthorizationService, ConsentEvent
from app.features.oauth.clients.registered import GrantType
from app.features.oauth.clients.service import ClientService
from app.features.oauth.grants import GrantTable
from app.features.sessions.service import SessionService
from app.features.signin.service import SignInService


def provide(services: Services) -> None:
    """Let users decide about OAuth clients, which get codes for it."""
    database, accounts, sessions = services[Database], services[AccountService], services[SessionService]
    clients, mail = services[ClientService], services[AccountMail]
    services.add(RequestReader(clients, services[Settings].public_url))
    authorization = services.add(AuthorizationService(database, accounts, sessions, clients, mail))
    code_grant = AuthorizationCodeGrant(database, accounts, sessions, clients, services[SignInService])
    services[GrantTable][GrantType.AUTHORIZATION_CODE] = code_grant
    services[AccountTokens].revocations.append(authorization.end_codes)
    services[RecoveryService].keep_or_end.append(authorization.keep_or_end)


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
