"""The accounts: find one, invite somebody, see one, change it, and end its sessions (ASVS 7.4.5)."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, Recent
from app.access.roles import Role
from app.core.email_address import EmailText
from app.core.errors import NotFound
from app.core.pagination import CursorText, PageParams
from app.features.accounts.permissions import UserPermission
from app.features.accounts.routes import Accounts, Administration, Roles
from app.features.accounts.schemas import AccountRead, AccountSort, AccountState, AccountUpdate, ProfileUpdate
from app.features.factors.routes import RESETS_FACTORS, Factors
from app.features.pages.admin.roles import RolesForm, chosen_roles, role_choices, ticked
from app.features.pages.kit.forms import FormBody, SearchForm
from app.features.pages.kit.page import CurrentPage, PageRouter
from app.features.pages.kit.site import PagesNotice
from app.features.sessions.devices import RequestClient
from app.features.sessions.routes import Sessions

router = PageRouter(__name__, "/admin/users")

_WRITES = Recent(STEP_UP_MINUTES, UserPermission.USERS_WRITE)
_ASSIGNS = Recent(STEP_UP_MINUTES, UserPermission.ROLES_ASSIGN)


class AccountSearch(SearchForm):
    """A text to find in addresses and names, a state, and an order."""

    state: AccountState | None = None
    sort: AccountSort = "-created_at"


class InvitationForm(RolesForm):
    """The address to invite, and the roles of the account."""

    email: EmailText


async def _user(user_id: UUID, accounts: Accounts, roles: Roles) -> AccountRead:
    return AccountRead.of(await accounts.get(user_id), roles)


User = Annotated[AccountRead, Depends(_user)]
"""The account that the path names, as it is before anything is changed."""


@router.page("", Allow(UserPermission.USERS_READ))
async def users_page(page: CurrentPage, administration: Administration, roles: Roles) -> Response:
    """List accounts, newest first: all of them, or those in a state, or whose address or name contains a text."""
    async with page.form(AccountSearch, "admin_users.html", users=[], count=None, next_path=None) as asked:
        params = PageParams(cursor=asked.cursor, search=asked.q)
        rows, cursor = await administration.list_accounts(params, asked.state, asked.sort)
        count = await administration.count_accounts(asked.q, asked.state)
    seen = {row.id: row.last_sign_in for row in rows if row.last_sign_in != row.created_at}
    next_path = page.next_path(cursor, q=asked.q, state=asked.state, sort=asked.sort)
    users = [AccountRead.of(row, roles) for row in rows]
    return page.show("admin_users.html", users=users, seen=seen, count=count, next_path=next_path)


@router.page("/invite", _WRITES)
async def invitation_page(page: CurrentPage, roles: Roles) -> Response:
    """Ask for the address to invite."""
    return page.show("admin_invite.html", values=ticked([Role.MEMBER]), choices=role_choices(roles))


@router.form("/invite", _WRITES)
async def invite(page: CurrentPage, administration: Administration, roles: Roles, client: RequestClient) -> Response:
    """Mail an invitation, with a token to choose a password with."""
    async with page.form(InvitationForm, "admin_invite.html", choices=role_choices(roles)) as typed:
        user = await administration.invite(page.principal, typed.email, chosen_roles(typed), ip=client.ip)
    return page.go(f"/admin/users/{user.id}", PagesNotice.USER_INVITED)


@router.page("/{user_id}", Allow(UserPermission.USERS_READ))
async def user_page(page: CurrentPage, user: User, sessions: Sessions) -> Response:
    """Show one account."""
    values, last = {"display_name": user.display_name or ""}, await sessions.newest(user.id)
    return page.show("admin_user.html", values=values, user=user, last=last)


@router.form("/{user_id}/name", _WRITES)
async def rename(page: CurrentPage, user: User, administration: Administration) -> Response:
    """Change what the user is called."""
    async with page.form(ProfileUpdate, "admin_user.html", user=user) as typed:
        await administration.change(page.principal, user.id, AccountUpdate(display_name=typed.display_name))
    return page.go(f"/admin/users/{user.id}", PagesNotice.USER_CHANGED)


@router.form("/{user_id}/disable", _WRITES)
async def disable(page: CurrentPage, user: User, administration: Administration) -> Response:
    """Disable the account, which ends its sessions."""
    async with page.form(FormBody, "admin_user.html", user=user):
        await administration.change(page.principal, user.id, AccountUpdate(disabled=True))
    return page.go(f"/admin/users/{user.id}", PagesNotice.USER_DISABLED)


@router.form("/{user_id}/enable", _WRITES)
async def enable(page: CurrentPage, user: User, administration: Administration) -> Response:
    """Enable the account again."""
    async with page.form(FormBody, "admin_user.html", user=user):
        await administration.change(page.principal, user.id, AccountUpdate(disabled=False))
    return page.go(f"/admin/users/{user.id}", PagesNotice.USER_ENABLED)


@router.form("/{user_id}/factors/reset", RESETS_FACTORS)
async def reset_factors(page: CurrentPage, user: User, factors: Factors) -> Response:
    """Remove all second factors of an account that has lost them; its sessions end."""
    async with page.form(FormBody, "admin_user.html", user=user):
        await factors.reset(page.principal, user.id)
    return page.go(f"/admin/users/{user.id}", PagesNotice.FACTORS_RESET)


@router.page("/{user_id}/roles", _ASSIGNS)
async def roles_page(page: CurrentPage, user: User, roles: Roles) -> Response:
    """Show the roles of the account, and what each role allows."""
    return page.show("admin_user_roles.html", values=ticked(user.roles), user=user, choices=role_choices(roles))


@router.form("/{user_id}/roles", _ASSIGNS)
async def assign_roles(page: CurrentPage, user: User, administration: Administration, roles: Roles) -> Response:
    """Give the account exactly the roles that are ticked; its sessions end."""
    async with page.form(RolesForm, "admin_user_roles.html", user=user, choices=role_choices(roles)) as typed:
        await administration.assign_roles(page.principal, user.id, chosen_roles(typed))
    return page.go(f"/admin/users/{user.id}", PagesNotice.ROLES_CHANGED)


@router.page("/{user_id}/delete", _WRITES)
async def deletion_page(page: CurrentPage, user: User) -> Response:
    """Say what is deleted with the account."""
    return page.show("admin_user_delete.html", user=user)


@router.form("/{user_id}/delete", _WRITES)
async def delete(page: CurrentPage, user: User, administration: Administration) -> Response:
    """Delete the account with all that belongs to it."""
    async with page.form(FormBody, "admin_user_delete.html", user=user):
        await administration.delete(page.principal, user.id)
    return page.go("/admin/users", PagesNotice.USER_DELETED)


# Whoever may only read accounts does not see this: IP addresses and devices tell where a person is.
@router.page("/{user_id}/sessions", Allow(UserPermission.USERS_WRITE))
async def sessions_page(page: CurrentPage, user: User, sessions: Sessions, cursor: CursorText = None) -> Response:
    """List the sessions of the account that are alive, newest first."""
    rows, cursor = await sessions.list_alive(user.id, PageParams(cursor=cursor))
    return page.show("admin_user_sessions.html", user=user, sessions=rows, next_path=page.next_path(cursor))


@router.form("/{user_id}/sessions/end-all", _WRITES)
async def end_all(user_id: UUID, page: CurrentPage, administration: Administration, sessions: Sessions) -> Response:
    """End every session of the account; an administrator's own, but for this one."""
    async with administration.locked(page.principal, user_id) as (db, *_):
        await sessions.end_all(db, user_id, "ended by administrator", keep=page.principal.session_id)
    return page.go(f"/admin/users/{user_id}/sessions", PagesNotice.SESSIONS_ENDED)


@router.form("/{user_id}/sessions/{session_id}/end", _WRITES)
async def end_session(
    user_id: UUID, session_id: UUID, page: CurrentPage, administration: Administration, sessions: Sessions
) -> Response:
    """End one session of the account."""
    async with administration.locked(page.principal, user_id) as (db, *_):
        ended = await sessions.end(db, "ended by administrator", id=session_id, user_id=user_id)
    if not ended:
        raise NotFound("There is no such session.")
    return page.go(f"/admin/users/{user_id}/sessions", PagesNotice.SESSION_ENDED)
