"""One account: what it is, and what an administrator can change about it."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, Recent, policy
from app.access.principal import CurrentPrincipal
from app.core.schemas import DisplayName
from app.features.accounts.permissions import UserPermission
from app.features.accounts.routes import Accounts, Administration, Roles
from app.features.accounts.schemas import AccountRead, AccountUpdate
from app.features.pages.admin.roles import RolesForm, chosen_roles, role_choices, ticked
from app.features.pages.kit.forms import FormBody, NoFields, read_form
from app.features.pages.kit.notices import PagesNotice
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute

router = APIRouter(prefix="/admin/users/{user_id}", route_class=PageRoute)


class NameForm(FormBody):
    """What somebody is called; empty for nothing."""

    display_name: DisplayName | None = None


async def _user(user_id: UUID, accounts: Accounts, roles: Roles) -> AccountRead:
    return AccountRead.of(await accounts.get(user_id), roles)


User = Annotated[AccountRead, Depends(_user)]
"""The account that the path names, as it is before anything is changed."""


def path_of(user_id: UUID) -> str:
    """Where the page of an account is."""
    return f"/admin/users/{user_id}"


@router.get("")
@policy(Allow(UserPermission.USERS_READ))
async def user_page(page: CurrentPage, user: User) -> Response:
    """Show one account."""
    return page.show("admin_user.html", values={"display_name": user.display_name or ""}, user=user)


@router.post("/name")
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def rename(
    request: Request, page: CurrentPage, user: User, administration: Administration, principal: CurrentPrincipal
) -> Response:
    """Change what somebody is called."""
    form, typed = await read_form(request, NameForm, "admin_user.html", user=user)
    with form.handle_errors():
        await administration.change(principal, user.id, AccountUpdate(display_name=typed.display_name))
    return page.go(path_of(user.id), PagesNotice.USER_CHANGED)


@router.post("/disable")
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def disable(
    request: Request, page: CurrentPage, user: User, administration: Administration, principal: CurrentPrincipal
) -> Response:
    """Disable the account, which ends its sessions."""
    form, _ = await read_form(request, NoFields, "admin_user.html", user=user)
    with form.handle_errors():
        await administration.change(principal, user.id, AccountUpdate(disabled=True))
    return page.go(path_of(user.id), PagesNotice.USER_DISABLED)


@router.post("/enable")
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def enable(
    request: Request, page: CurrentPage, user: User, administration: Administration, principal: CurrentPrincipal
) -> Response:
    """Enable the account again."""
    form, _ = await read_form(request, NoFields, "admin_user.html", user=user)
    with form.handle_errors():
        await administration.change(principal, user.id, AccountUpdate(disabled=False))
    return page.go(path_of(user.id), PagesNotice.USER_ENABLED)


@router.get("/roles")
@policy(Recent(STEP_UP_MINUTES, UserPermission.ROLES_ASSIGN))
async def roles_page(page: CurrentPage, user: User, roles: Roles) -> Response:
    """Show what the account may do, and what each role allows."""
    return page.show("admin_user_roles.html", values=ticked(user.roles), user=user, choices=role_choices(roles))


@router.post("/roles")
@policy(Recent(STEP_UP_MINUTES, UserPermission.ROLES_ASSIGN))
async def assign_roles(  # noqa: PLR0913, PLR0917  # one for each thing that it needs
    request: Request,
    page: CurrentPage,
    user: User,
    administration: Administration,
    roles: Roles,
    principal: CurrentPrincipal,
) -> Response:
    """Give the account exactly the roles that are ticked; its sessions end."""
    form, typed = await read_form(request, RolesForm, "admin_user_roles.html", user=user, choices=role_choices(roles))
    with form.handle_errors():
        await administration.assign_roles(principal, user.id, chosen_roles(typed))
    return page.go(path_of(user.id), PagesNotice.ROLES_CHANGED)


@router.get("/delete")
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def deletion_page(page: CurrentPage, user: User) -> Response:
    """Say what would go."""
    return page.show("admin_user_delete.html", user=user)


@router.post("/delete")
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def delete(
    request: Request, page: CurrentPage, user: User, administration: Administration, principal: CurrentPrincipal
) -> Response:
    """Delete the account with all that belongs to it."""
    form, _ = await read_form(request, NoFields, "admin_user_delete.html", user=user)
    with form.handle_errors():
        await administration.delete(principal, user.id)
    return page.go("/admin/users", PagesNotice.USER_DELETED)
