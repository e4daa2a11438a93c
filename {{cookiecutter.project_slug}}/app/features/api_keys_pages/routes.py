"""The pages of API keys, mine and, for administrators, all: the answer to the form that makes a key alone shows it."""

from functools import cache
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, create_model
from starlette.responses import Response

from app.access.policies import Allow
from app.core.pagination import MAX_LIMIT, CursorText, PageParams
from app.core.schemas import DisplayName
from app.features.accounts.routes import Accounts, Administration
from app.features.accounts.service import SERVICE_DOMAIN, called
from app.features.api_keys.routes import CHANGES, CHANGES_ALL, READS_ALL, Keys
from app.features.api_keys.schemas import ApiKeyCreate, ApiKeyRotation
from app.features.pages.admin.roles import Checked
from app.features.pages.kit.forms import FormBody, SearchForm, parse_fields
from app.features.pages.kit.page import CurrentPage, HtmlPage, PageRouter
from app.features.pages.kit.site import Notice
from app.features.sessions.devices import Client, RequestClient
from app.features.sessions.permissions import AccountPermission

OWN, ALL = "/account/api-keys", "/admin/api-keys"
router, admin_router = PageRouter(__name__, OWN), PageRouter(__name__, ALL)

_LIST, _NEW = "api_keys.html", "api_keys_new.html"
_ROTATION = ApiKeyRotation()


class ApiKeyNotice(Notice):
    """Notices about API keys."""

    API_KEY_REVOKED = "api-key-revoked", "The key has ended. A program that still uses it is refused."


class ApiKeyForm(FormBody):
    """A key to make, with a field for each scope; the networks separated by blanks."""

    name: DisplayName
    expires_in_days: int = 90
    networks: Annotated[str, Field(max_length=1000)] = ""
    requests_per_minute: int | None = None


@cache
def _form(scopes: tuple[str, ...], *, of_program: bool) -> type[ApiKeyForm]:
    fields: dict[str, Any] = dict.fromkeys(scopes, (Checked, None)) | ({"user_id": (UUID, ...)} if of_program else {})
    return create_model("ApiKeyForm", __base__=ApiKeyForm, **fields)


def _scopes(page: HtmlPage) -> dict[str, Any]:
    """Return the permissions of the reader, each with the name of its field."""
    return {f"scope_{each.replace(':', '_')}": each for each in sorted(page.principal.permissions)}


async def _programs(administration: Administration) -> dict[UUID, str]:
    """Return the names of the service accounts, the newest ones."""
    found, _ = await administration.list_accounts(PageParams(MAX_LIMIT, search=f"@{SERVICE_DOMAIN}"), "active")
    return {user.id: called(user) for user in found if user.email.endswith(SERVICE_DOMAIN)}


async def _create(page: HtmlPage, keys: Keys, origin: Client, programs: dict[UUID, str] | None = None) -> Response:
    scopes, here = _scopes(page), OWN if programs is None else ALL
    kind = _form(tuple(scopes), of_program=programs is not None)
    async with page.form(kind, _NEW, scopes=scopes, here=here, programs=programs) as typed:
        wanted = typed.model_dump(include={"name", "expires_in_days", "requests_per_minute"})
        wanted["scopes"] = [str(scope) for field, scope in scopes.items() if getattr(typed, field)]
        new = parse_fields(ApiKeyCreate, wanted | {"networks": typed.networks.split()})
        made = await keys.create(page.principal, new, origin, getattr(typed, "user_id", None))
    return page.show("api_key.html", key=made, hours=0, here=here)


@router.page("", Allow(AccountPermission.ACCOUNT_READ))
async def api_keys_page(page: CurrentPage, keys: Keys, cursor: CursorText = None) -> Response:
    """List my API keys, newest first, masked."""
    found = await keys.list_keys(PageParams(cursor=cursor), page.principal.user_id)
    next_path = page.next_path(found.next_cursor)
    return page.show(_LIST, keys=found.items, owners=None, here=OWN, next_path=next_path)


@admin_router.page("", READS_ALL)
async def all_api_keys_page(page: CurrentPage, keys: Keys, accounts: Accounts) -> Response:
    """List the API keys of all accounts, or those with a text in name or owner, newest first, masked."""
    async with page.form(SearchForm, _LIST, keys=[], owners={}, programs=(), here=ALL, next_path=None) as asked:
        found = await keys.list_keys(PageParams(cursor=asked.cursor, search=asked.q))
    owners = await accounts.addresses(key.user_id for key in found.items)
    programs = {owner for owner, user in owners.items() if user.email.endswith(SERVICE_DOMAIN)}
    next_path = page.next_path(found.next_cursor, q=asked.q)
    return page.show(_LIST, keys=found.items, owners=owners, programs=programs, here=ALL, next_path=next_path)


@router.page("/new", CHANGES)
async def new_api_key_page(page: CurrentPage) -> Response:
    """Ask for the key to make."""
    return page.show(_NEW, scopes=_scopes(page), here=OWN, programs=None)


@admin_router.page("/new", CHANGES_ALL)
async def new_service_api_key_page(page: CurrentPage, administration: Administration) -> Response:
    """Ask for the key of a service account to make."""
    return page.show(_NEW, scopes=_scopes(page), here=ALL, programs=await _programs(administration))


@router.form("/new", CHANGES)
async def create_api_key(page: CurrentPage, keys: Keys, origin: RequestClient) -> Response:
    """Make an API key, which this page alone shows."""
    return await _create(page, keys, origin)


@admin_router.form("/new", CHANGES_ALL)
async def create_service_api_key(
    page: CurrentPage, keys: Keys, origin: RequestClient, administration: Administration
) -> Response:
    """Make an API key of a service account, which this page alone shows."""
    return await _create(page, keys, origin, await _programs(administration))


@router.form("/{key_id}/rotate", CHANGES)
async def rotate_api_key(key_id: UUID, page: CurrentPage, keys: Keys, origin: RequestClient) -> Response:
    """Replace one of my API keys; this page alone shows the new one."""
    made = await keys.rotate(page.principal, _ROTATION, origin, key_id)
    return page.show("api_key.html", key=made, hours=_ROTATION.overlap_hours, here=OWN)


@admin_router.form("/{user_id}/{key_id}/rotate", CHANGES_ALL)
async def rotate_service_api_key(
    user_id: UUID, key_id: UUID, page: CurrentPage, keys: Keys, origin: RequestClient
) -> Response:
    """Replace an API key of a service account; this page alone shows the new one."""
    made = await keys.rotate(page.principal, _ROTATION, origin, key_id, user_id)
    return page.show("api_key.html", key=made, hours=_ROTATION.overlap_hours, here=ALL)


@router.form("/{key_id}/revoke", CHANGES)
async def revoke_api_key(key_id: UUID, page: CurrentPage, keys: Keys) -> Response:
    """End one of my API keys."""
    await keys.revoke(page.principal, key_id)
    return page.go(OWN, ApiKeyNotice.API_KEY_REVOKED)


@admin_router.form("/{user_id}/{key_id}/revoke", CHANGES_ALL)
async def revoke_any_api_key(user_id: UUID, key_id: UUID, page: CurrentPage, keys: Keys) -> Response:
    """End an API key of any account."""
    await keys.revoke(page.principal, key_id, user_id)
    return page.go(ALL, ApiKeyNotice.API_KEY_REVOKED)
