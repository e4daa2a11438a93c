"""Accounts, as a feature."""

from app.access.roles import ADMINISTRATORS, AUDITORS
from app.core.database.personal_data import PersonalData
from app.core.mail.outbox import OutboxMail
from app.core.services import Services
from app.core.settings.model import Settings
from app.feature import Feature, RetentionJob
from app.features.accounts.administration import AccountAdministration, Authority
from app.features.accounts.events import AccountEvent, Alert
from app.features.accounts.mailed.mails import TEMPLATES, AccountMail, MailKind
from app.features.accounts.mailed.recovery import MailboxService
from app.features.accounts.mailed.tokens import AccountTokens, never_confirmed
from app.features.accounts.models import AccountToken, User, UserRole
from app.features.accounts.own_account import OwnAccountService
from app.features.accounts.passwords.confirmation import PasswordConfirmation
from app.features.accounts.passwords.hasher import PasswordHasher
from app.features.accounts.passwords.policy import PasswordPolicy
from app.features.accounts.permissions import UserPermission
from app.features.accounts.routes import router
from app.features.accounts.service import AccountService, AccountSettings


def provide(services: Services) -> None:
    """Provide the accounts, their passwords and their mail."""
    hasher = PasswordHasher()
    services.add(hasher, close=hasher.pool.close)
    services.add(PasswordPolicy(services[Settings], hasher))
    services.add(AccountService(services))
    services.add(Authority(services))
    tokens, mail = services.add(AccountTokens(services)), services.add(AccountMail(services))
    tokens.revocations.append(mail.allow_recovery)
    services.add(PasswordConfirmation(services))
    services.add(AccountAdministration(services))
    services.add(OwnAccountService(services))
    services.add(MailboxService(services))


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
        PersonalData(name="waiting_mail", table=OutboxMail, without=("claim",)),
    ),
    purge=(
        RetentionJob("mailed tokens", AccountToken, lambda _, before: AccountToken.expires_at < before),
        RetentionJob("unconfirmed accounts", User, never_confirmed),
    ),
)
