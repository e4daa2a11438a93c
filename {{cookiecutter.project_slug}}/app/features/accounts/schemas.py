"""The requests and responses about accounts."""

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import AfterValidator, Field, SecretStr

from app.access.roles import PermissionName, Role, RoleTable
from app.core.email_address import EmailText
from app.core.schemas import DisplayName, NotNull, RequestBody, ResponseBody, Timestamp
from app.features.accounts.events import Alert
from app.features.accounts.models import User
from app.features.accounts.passwords.hasher import GivenPassword, NewPassword
from app.features.accounts.service import Account

AccountState = Literal["active", "unconfirmed", "disabled"]
AccountSort = Literal["email", "-email", "created_at", "-created_at", "last_sign_in", "-last_sign_in"]


class AccountRead(ResponseBody):
    """An account, without its password. `muted_alerts` are those that its owner does not get by mail."""

    id: UUID
    email: str
    email_verified: bool
    display_name: str | None
    roles: list[Role]
    permissions: list[PermissionName]
    disabled: bool
    created_at: Timestamp
    muted_alerts: list[Alert]

    @classmethod
    def of(cls, user: User | Account, roles: RoleTable) -> Self:
        """Make the response for a user; permissions are what the roles allow."""
        return cls(
            id=user.id,
            email=user.email,
            email_verified=user.verified_at is not None,
            display_name=user.display_name,
            roles=sorted(user.roles),
            permissions=sorted(roles.permissions_of(user.roles)),
            disabled=user.disabled_at is not None,
            created_at=user.created_at,
            muted_alerts=sorted(user.muted_alerts),
        )


class AccountCreate(RequestBody):
    """A registration."""

    email: EmailText
    # In the order of the page, where the first wrong field has the focus.
    display_name: DisplayName | None = None
    password: NewPassword


class MailedToken(RequestBody):
    """A token from a mail."""

    token: Annotated[SecretStr, Field(min_length=1, max_length=128)]


class Confirmation(MailedToken):
    """A token, with the password that was registered to show that it is mine."""

    password: GivenPassword | None = None


class ForgottenPassword(RequestBody):
    """The address of an account whose password is forgotten."""

    email: EmailText


class PasswordReset(MailedToken):
    """A password for the account of the token."""

    new_password: NewPassword


class EmailChange(RequestBody):
    """Another address for my account, with my password, if I have one."""

    new_email: EmailText
    current_password: GivenPassword | None = None


class AccountDeletion(RequestBody):
    """A deletion of my account, with my password, if I have one."""

    current_password: GivenPassword | None = None


class ProfileUpdate(RequestBody):
    """What I can change about myself. A field that is left out stays as it is; null clears it."""

    display_name: DisplayName | None = None


def _each_once(kinds: list[Any]) -> list[Any]:
    if len(set(kinds)) != len(kinds):
        raise ValueError("must name each once")
    return kinds


# Not strict: a JSON string is the alert or the role of that name.
AlertList = Annotated[
    list[Annotated[Alert, Field(strict=False)]], Field(max_length=len(Alert)), AfterValidator(_each_once)
]
"""Alerts, each once."""


class OwnProfileUpdate(ProfileUpdate):
    """What I can change about myself, and the alerts that I do not want by mail; null is an empty list."""

    muted_alerts: AlertList | None = None


class AccountUpdate(ProfileUpdate):
    """What an administrator can change about an account."""

    disabled: Annotated[bool | None, NotNull] = None


class PasswordChange(RequestBody):
    """A change of my password, with the one that I have, if I have one."""

    current_password: GivenPassword | None = None
    new_password: NewPassword


RoleList = Annotated[
    list[Annotated[Role, Field(strict=False)]], Field(min_length=1, max_length=len(Role)), AfterValidator(_each_once)
]
"""At least one role, each once."""


class RoleAssignment(RequestBody):
    """All the roles that the user has from now on."""

    roles: RoleList


class Invitation(RequestBody):
    """The address of a new user, and the roles."""

    email: EmailText
    roles: RoleList = Field(default=[Role.MEMBER])


class RoleRead(ResponseBody):
    """A role and what it allows."""

    name: Role
    permissions: list[PermissionName]
