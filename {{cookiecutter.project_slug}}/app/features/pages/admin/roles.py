"""Roles as checkboxes: one field for each, because no field of a form may be there twice."""

from collections.abc import Iterable
from typing import Literal

from pydantic import create_model

from app.access.roles import Permission, Role, RoleTable
from app.core.errors import Unprocessable
from app.features.pages.kit.forms import FormBody

Checked = Literal["on"] | None

_FIELDS = {role: f"role_{role}" for role in Role}

RolesForm: type[FormBody] = create_model(  # type: ignore[call-overload]  # the fields are made of the roles
    "RolesForm", __base__=FormBody, __doc__="The roles to have.", **dict.fromkeys(_FIELDS.values(), (Checked, None))
)


def ticked_roles(form: FormBody) -> list[Role]:
    """Return the roles that are ticked."""
    return [role for role, field in _FIELDS.items() if getattr(form, field)]


def chosen_roles(form: FormBody) -> list[Role]:
    """Return the roles that are ticked; raises `Unprocessable` if none is."""
    roles = ticked_roles(form)
    if not roles:
        reason = "Choose at least one role."
        raise Unprocessable(reason, errors=[{"location": ["body", "roles"], "reason": reason}])
    return roles


def ticked(roles: Iterable[Role]) -> dict[str, str]:
    """Return the values of a form in which these roles are ticked."""
    return {_FIELDS[role]: "on" for role in roles}


def role_choices(table: RoleTable) -> list[tuple[str, Role, list[Permission]]]:
    """Return field, role and permissions of each role."""
    return [(field, role, sorted(table.permissions_of([role]))) for role, field in _FIELDS.items()]
