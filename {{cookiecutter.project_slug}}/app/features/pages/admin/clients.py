"""The OAuth clients: which applications and programs may get tokens, and for what; a new secret, and removal."""

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Depends
from pydantic import Field, SecretStr, create_model
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, OwnSession, Recent
from app.access.roles import RoleTable
from app.core.pagination import PageParams
from app.core.schemas import DisplayName
from app.features.accounts.routes import Roles
from app.features.oauth.clients.registered import GrantType, RegisteredClient
from app.features.oauth.clients.routes import Clients
from app.features.oauth.clients.schemas import ClientCreate
from app.features.oauth.permissions import ClientPermission
from app.features.pages.admin.roles import Checked, RolesForm, role_choices, ticked_roles
from app.features.pages.kit.forms import FormBody, SearchForm, parse_fields
from app.features.pages.kit.page import CurrentPage, PageRouter
from app.features.pages.kit.site import PagesNotice
from app.http.request.body_limit import KIB

router = PageRouter(__name__, "/admin/clients")

_ADDS = Recent(STEP_UP_MINUTES, ClientPermission.CLIENTS_WRITE)
_CHANGES = OwnSession(STEP_UP_MINUTES, ClientPermission.CLIENTS_WRITE)


class ClientForm(RolesForm):
    """A client to register, with a field for each scope; the redirect URIs one on each line."""

    name: DisplayName
    kind: Literal["web", "native", "service"]
    """On a server, it keeps a secret; on a device or in a browser it can keep none; a service acts for itself."""
    redirect_uris: Annotated[str, Field(max_length=8000)] = ""
    first_party: Checked = None

    def described(self, scopes: Iterable[str]) -> ClientCreate:
        """Return the client; raises `Unprocessable` if its parts do not go together."""
        for_users = [GrantType.AUTHORIZATION_CODE, GrantType.REFRESH_TOKEN]
        typed = {
            "name": self.name,
            "scope": " ".join(name for name in scopes if getattr(self, _field(name))),
            "grants": [GrantType.CLIENT_CREDENTIALS] if self.kind == "service" else for_users,
            "redirect_uris": self.redirect_uris.split(),
            "confidential": self.kind != "native",
            "first_party": self.first_party is not None,
            "roles": ticked_roles(self),
        }
        return parse_fields(ClientCreate, typed)


@cache
def _form(scopes: tuple[str, ...]) -> type[ClientForm]:
    fields: dict[str, Any] = {_field(name): (Checked, None) for name in scopes}
    return create_model("ClientForm", __base__=ClientForm, **fields)


def _field(scope: str) -> str:
    return f"scope_{scope.replace(':', '_')}"


def _choices(roles: RoleTable) -> dict[str, Any]:
    scopes = [(_field(name), name, permission.description) for name, permission in roles.permissions.items()]
    return {"scopes": scopes, "choices": role_choices(roles)}


async def _client(client_id: UUID, clients: Clients) -> RegisteredClient:
    return await clients.get(client_id)


Client = Annotated[RegisteredClient, Depends(_client)]
"""The client that the path names."""


@router.page("", Allow(ClientPermission.CLIENTS_READ))
async def clients_page(page: CurrentPage, clients: Clients) -> Response:
    """List clients, newest first: all of them, or those whose name contains a text."""
    async with page.form(SearchForm, "admin_clients.html", clients=[], next_path=None) as asked:
        rows, cursor = await clients.list_clients(PageParams(cursor=asked.cursor, search=asked.q))
    return page.show("admin_clients.html", clients=rows, next_path=page.next_path(cursor, q=asked.q))


@router.page("/new", _ADDS)
async def new_client_page(page: CurrentPage, roles: Roles) -> Response:
    """Ask for the client to register."""
    return page.show("admin_client_new.html", values={"kind": "web"}, **_choices(roles))


@router.form("/new", _ADDS, max_body_size=32 * KIB)
async def add_client(page: CurrentPage, clients: Clients, roles: Roles) -> Response:
    """Register a client; this page alone shows its secret."""
    async with page.form(_form(tuple(roles.permissions)), "admin_client_new.html", **_choices(roles)) as typed:
        client, secret = await clients.add(page.principal, typed.described(roles.permissions))
    return _with_secret(page, client, secret)


@router.page("/{client_id}", Allow(ClientPermission.CLIENTS_READ))
async def client_page(page: CurrentPage, client: Client) -> Response:
    """Show one client."""
    return page.show("admin_client.html", client=client)


@router.form("/{client_id}/secret", _CHANGES)
async def rotate_secret(page: CurrentPage, client: Client, clients: Clients) -> Response:
    """Give the client another secret, which this page alone shows."""
    async with page.form(FormBody, "admin_client.html", client=client):
        client, secret = await clients.rotate_secret(page.principal, client.id)
    return _with_secret(page, client, secret)


@router.form("/{client_id}/remove", _CHANGES)
async def remove_client(page: CurrentPage, client: Client, clients: Clients) -> Response:
    """Remove the client; its sessions end."""
    async with page.form(FormBody, "admin_client.html", client=client):
        await clients.remove(page.principal, client.id)
    return page.go("/admin/clients", PagesNotice.CLIENT_REMOVED)


def _with_secret(page: CurrentPage, client: RegisteredClient, secret: SecretStr | None) -> Response:
    return page.show("admin_client_secret.html", client=client, secret=secret.get_secret_value() if secret else None)
