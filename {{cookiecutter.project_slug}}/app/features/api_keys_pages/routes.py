"""The pages of the API keys: a key is shown by the answer to the form that makes it, and by no other."""

from datetime import timedelta
from functools import cache
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, create_model
from starlette.responses import Response

from app.access.policies import Allow
from app.core.pagination import CursorText, PageParams
from app.core.schemas import DisplayName
from app.features.api_keys.routes import CHANGES, Keys
from app.features.api_keys.schemas import ApiKeyCreate, ApiKeyRead, ApiKeyRotation
from app.features.pages.admin.roles import Checked
from app.features.pages.kit.forms import FormBody, parse_fields
from app.features.pages.kit.notices import Notice
from app.features.pages.kit.page import CurrentPage, HtmlPage, PageRouter
from app.features.sessions.client import RequestClient
from app.features.sessions.permissions import AccountPermission

router = PageRouter(__name__, "/account/api-keys")

_NEW = "api_keys_new.html"


class ApiKeyNotice(Notice):
    """Notices about API keys."""

    API_KEY_REVOKED = "api-key-revoked", "The key has ended. A program that still uses it is refused."


class ApiKeyForm(FormBody):
    """A key to make, with a field for each scope; the networks separated by blanks."""

    name: DisplayName
    expires_in_days: int = 90
    networks: Annotated[str, Field(max_length=1000)] = ""


@cache
def _form(fields: tuple[str, ...]) -> type[ApiKeyForm]:
    chosen: dict[str, Any] = dict.fromkeys(fields, (Checked, None))
    return create_model("ApiKeyForm", __base__=ApiKeyForm, **chosen)


def _scopes(page: HtmlPage) -> dict[str, Any]:
    """Return the permissions of the reader, each with the name of its field."""
    return {f"scope_{each.replace(':', '_')}": each for each in sorted(page.principal.permissions)}


@router.page("", Allow(AccountPermission.ACCOUNT_READ))
async def api_keys_page(page: CurrentPage, keys: Keys, cursor: CursorText = None) -> Response:
    """List my API keys, newest first, masked."""
    rows, cursor = await keys.list_of(page.principal.user_id, PageParams(cursor=cursor))
    shown = [ApiKeyRead.of(row) for row in rows]
    return page.show("api_keys.html", keys=shown, next_path=page.next_path(cursor))


@router.page("/new", CHANGES)
async def new_api_key_page(page: CurrentPage) -> Response:
    """Ask for the key to make."""
    return page.show(_NEW, scopes=_scopes(page))


@router.form("/new", CHANGES)
async def create_api_key(page: CurrentPage, keys: Keys, origin: RequestClient) -> Response:
    """Make an API key, which this page alone shows."""
    scopes = _scopes(page)
    async with page.form(_form(tuple(scopes)), _NEW, scopes=scopes) as typed:
        wanted = {"name": typed.name, "expires_in_days": typed.expires_in_days, "networks": typed.networks.split()}
        chosen = [str(scope) for field, scope in scopes.items() if getattr(typed, field)]
        row, key = await keys.create(page.principal, parse_fields(ApiKeyCreate, wanted | {"scopes": chosen}), origin)
    return page.show("api_key.html", row=row, key=key, hours=0)


@router.form("/{key_id}/rotate", CHANGES)
async def rotate_api_key(key_id: UUID, page: CurrentPage, keys: Keys, origin: RequestClient) -> Response:
    """Replace one of my API keys; this page alone shows the new one."""
    hours = ApiKeyRotation().overlap_hours
    row, key = await keys.rotate(page.principal, key_id, timedelta(hours=hours), origin)
    return page.show("api_key.html", row=row, key=key, hours=hours)


@router.form("/{key_id}/revoke", CHANGES)
async def revoke_api_key(key_id: UUID, page: CurrentPage, keys: Keys) -> Response:
    """End one of my API keys."""
    await keys.revoke(page.principal, key_id)
    return page.go("/account/api-keys", ApiKeyNotice.API_KEY_REVOKED)
