"""Roles as checkboxes: one field for each, for a form names nothing twice."""

from collections.abc import Iterable, Mapping
from typing import Literal

from pydantic import create_model

from app.access.permissions import Permission
from app.access.roles import Role, RoleTable
from app.core.errors import Unprocessable
from app.features.pages.kit.forms import FormBody

_PREFIX = "role_"
_CHECKED = "on"

Checked = Literal["on"] | None

RolesForm: type[FormBody] = create_model(  # type: ignore[call-overload]  # the fields are made of the roles
    "RolesForm",
    __base__=FormBody,
    __doc__="All the roles to have.",
    **{f"{_PREFIX}{role}": (Checked, None) for role in Role},
)


def ticked_roles(form: FormBody) -> list[Role]:
    """The roles that are ticked."""
    return [role for role in Role if getattr(form, f"{_PREFIX}{role}") == _CHECKED]


def chosen_roles(form: FormBody) -> list[Role]:
    """The roles that are ticked; raises `Unprocessable` where none is."""
    roles = ticked_roles(form)
    if not roles:
        reason = "Choose at least one role."
        raise Unprocessable(reason, errors=[{"location": ["body", "roles"], "reason": reason}])
    return roles


def ticked(roles: Iterable[Role]) -> Mapping[str, str]:
    """The values of a form in which these roles are ticked."""
    return {f"{_PREFIX}{role}": _CHECKED for role in roles}


def role_choices(table: RoleTable) -> list[tuple[str, Role, list[Permission]]]:
    """Field, role and what it allows, of each role."""
    return [(f"{_PREFIX}{role}", role, sorted(table.permissions_of([role]))) for role in Role]
