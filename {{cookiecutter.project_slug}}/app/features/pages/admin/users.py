"""All accounts: find one, invite somebody."""

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, Recent, policy
from app.access.principal import CurrentPrincipal
from app.access.roles import Role
from app.core.pagination import PageParams
from app.features.accounts.email_address import EmailText
from app.features.accounts.permissions import UserPermission
from app.features.accounts.routes import Administration, Roles
from app.features.accounts.schemas import AccountRead
from app.features.pages.admin.roles import RolesForm, chosen_roles, role_choices, ticked
from app.features.pages.kit.forms import FormBody, read_form, read_query
from app.features.pages.kit.notices import PagesNotice
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute
from app.features.pages.kit.urls import next_part
from app.features.sessions.client import RequestClient

router = APIRouter(prefix="/admin/users", route_class=PageRoute)

_PATH = "/admin/users"


class SearchForm(FormBody):
    """What to look for in addresses and names, and the part of the list; `done` is the notice of the page before."""

    q: Annotated[str, Field(max_length=100)] | None = None
    cursor: Annotated[str, Field(max_length=200)] | None = None
    done: str | None = None


class InvitationForm(RolesForm):
    """Whom to let in, and as what."""

    email: EmailText


@router.get("")
@policy(Allow(UserPermission.USERS_READ))
async def users_page(request: Request, page: CurrentPage, administration: Administration, roles: Roles) -> Response:
    """List accounts, newest first: all of them, or those whose address or name holds a text."""
    form, asked = read_query(request, SearchForm, "admin_users.html", users=[], next_path=None)
    with form.handle_errors():
        rows, next_cursor = await administration.list_accounts(PageParams(cursor=asked.cursor, search=asked.q))
    users = [AccountRead.of(row, roles) for row in rows]
    next_path = next_part(_PATH, next_cursor, q=asked.q)
    return page.show("admin_users.html", values=form.values, users=users, next_path=next_path)


@router.get("/invite")
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def invitation_page(page: CurrentPage, roles: Roles) -> Response:
    """Ask whom to invite."""
    return page.show("admin_invite.html", values=ticked([Role.MEMBER]), choices=role_choices(roles))


@router.post("/invite")
@policy(Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE))
async def invite(  # noqa: PLR0913, PLR0917  # one for each thing that it needs
    request: Request,
    page: CurrentPage,
    administration: Administration,
    roles: Roles,
    principal: CurrentPrincipal,
    client: RequestClient,
) -> Response:
    """Invite somebody, who chooses a password with the token that is mailed to them."""
    form, typed = await read_form(request, InvitationForm, "admin_invite.html", choices=role_choices(roles))
    with form.handle_errors():
        user = await administration.invite(principal, typed.email, chosen_roles(typed), ip=client.ip)
    return page.go(f"{_PATH}/{user.id}", PagesNotice.USER_INVITED)
