"""Accounts, as a feature."""

from limits import parse as parse_limit

from app.access.roles import ADMINISTRATORS, AUDITORS, RoleTable
from app.core.crypto import KeyRing
from app.core.database.batches import RowPurge
from app.core.database.database import Database
from app.core.database.personal_data import PersonalData
from app.core.limits import Limiter
from app.core.mail.outbox import MailFolders, Outbox
from app.core.services import Services
from app.core.settings.model import Settings
from app.feature import API_PREFIX, Feature, RetentionJob
from app.features.accounts.administration import AccountAdministration, Authority
from app.features.accounts.events import AccountEvent
from app.features.accounts.mailed.alerts import Alert
from app.features.accounts.mailed.mails import TEMPLATES, AccountMail, MailKind
from app.features.accounts.mailed.recovery import RecoveryService, RegistrationService
from app.features.accounts.mailed.tokens import AccountTokens, MailLimits, never_confirmed
from app.features.accounts.models import AccountToken, User, UserRole
from app.features.accounts.own_account import OwnAccountService
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.passwords.hasher import PasswordHasher
from app.features.accounts.passwords.policy import PasswordPolicy, Passwords
from app.features.accounts.permissions import UserPermission
from app.features.accounts.routes import router
from app.features.accounts.service import AccountService, AccountSettings
from app.features.sessions.service import SessionService


def provide(services: Services) -> None:
    """Provide the accounts, their passwords and their mail."""
    settings, database, limiter = services[Settings], services[Database], services[Limiter]
    sessions, roles, limit = services[SessionService], services[RoleTable], parse_limit(settings.rate_limit_signin)
    hasher = PasswordHasher()
    services.add(hasher, close=hasher.pool.close)
    passwords = Passwords(PasswordPolicy.of(settings), hasher)
    demanding = services[AccountSettings].require_second_factor_for
    services.add(AccountService(database, passwords, roles, demanding))
    authority = services.add(Authority(sessions, roles))
    tokens = services.add(AccountTokens(sessions))
    api_url, mails = f"{settings.public_url}{API_PREFIX}", services[MailFolders]
    mail = services.add(AccountMail(services[Outbox], settings, api_url, mails))
    mail_limits = services.add(MailLimits(limiter, limit))
    tokens.revocations.append(mail_limits.allow_recovery)
    mailing = (tokens, mail, mail_limits)
    confirmation = services.add(PasswordConfirmation(database, hasher, limiter, limit))
    services.add(AccountAdministration(database, authority, *mailing, services[KeyRing]))
    services.add(OwnAccountService(database, authority, passwords, confirmation, *mailing))
    services.add(RegistrationService(database, passwords, *mailing))
    services.add(RecoveryService(database, passwords, *mailing))


ACCOUNTS = Feature(
    name="accounts",
    uses=("sessions",),
    settings=(AccountSettings,),
    provide=provide,
    api=(router,),
    tables=(AccountToken, User, UserRole),
    mails={TEMPLATES: (*MailKind, *Alert)},
    grants={
        UserPermission.ROLES_ASSIGN: ADMINISTRATORS,
        UserPermission.USERS_READ: AUDITORS,
        UserPermission.USERS_WRITE: ADMINISTRATORS,
    },
    events=(AccountEvent,),
    personal_data=(
        PersonalData(name="account", table=User, owner="id", without=("password_hash",)),
        PersonalData(name="roles", table=UserRole),
        PersonalData(name="mailed_tokens", table=AccountToken),
    ),
    purge=(
        RetentionJob(
            "mailed tokens", lambda _: RowPurge(AccountToken, lambda before: AccountToken.expires_at < before)
        ),
        RetentionJob("unconfirmed accounts", lambda _: RowPurge(User, never_confirmed)),
    ),
)
