"""The OAuth clients: which applications and programs may get tokens, and for what."""

from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import Field, SecretStr, ValidationError, create_model
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, Recent, policy
from app.access.principal import CurrentPrincipal
from app.access.roles import RoleTable
from app.core.errors import Unprocessable
from app.core.pagination import CursorText, PageParams
from app.core.schemas import DisplayName
from app.features.accounts.routes import Roles
from app.features.oauth.clients.registered import GrantType, RegisteredClient
from app.features.oauth.clients.routes import Clients
from app.features.oauth.permissions import ClientPermission
from app.features.oauth.schemas import ClientCreate
from app.features.pages.admin.roles import Checked, RolesForm, role_choices, ticked_roles
from app.features.pages.kit.forms import read_form
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute
from app.features.pages.kit.urls import next_part
from app.http.request.body_limit import KIB

PATH = "/admin/clients"

router = APIRouter(prefix=PATH, route_class=PageRoute)

_SCOPE = "scope_"


class ClientKind(StrEnum):
    """What a client is, as far as it decides what it needs."""

    WEB = "web"
    """An application on a server: it keeps a secret, and acts for users."""
    NATIVE = "native"
    """An application on a device or in a browser: it can keep no secret, and acts for users."""
    SERVICE = "service"
    """A program: it keeps a secret, and acts for itself."""


_GRANTS = {
    ClientKind.WEB: [GrantType.AUTHORIZATION_CODE, GrantType.REFRESH_TOKEN],
    ClientKind.NATIVE: [GrantType.AUTHORIZATION_CODE, GrantType.REFRESH_TOKEN],
    ClientKind.SERVICE: [GrantType.CLIENT_CREDENTIALS],
}


class ClientForm(RolesForm):
    """A client to register, with a field for each scope; the redirect addresses one on each line."""

    name: DisplayName
    kind: ClientKind
    redirect_uris: Annotated[str, Field(max_length=8000)] = ""
    first_party: Checked = None

    def described(self, scopes: Iterable[str]) -> ClientCreate:
        """The client; raises `Unprocessable` for what does not go together."""
        try:
            return ClientCreate(
                name=self.name,
                scope=" ".join(name for name in scopes if getattr(self, _field(name))),
                grants=_GRANTS[self.kind],
                redirect_uris=self.redirect_uris.split(),
                confidential=self.kind is not ClientKind.NATIVE,
                first_party=self.first_party is not None,
                roles=ticked_roles(self),
            )
        except ValidationError as error:
            raise _unprocessable(error) from None


@cache
def _form(scopes: tuple[str, ...]) -> type[ClientForm]:
    """The form, which has a field for each scope."""
    fields: dict[str, Any] = {_field(name): (Checked, None) for name in scopes}
    return create_model("ClientForm", __base__=ClientForm, **fields)


def _field(scope: str) -> str:
    return f"{_SCOPE}{scope.replace(':', '_')}"


@router.get("")
@policy(Allow(ClientPermission.CLIENTS_READ))
async def clients_page(page: CurrentPage, clients: Clients, cursor: CursorText = None) -> Response:
    """List clients, newest first."""
    rows, next_cursor = await clients.list_clients(PageParams(cursor=cursor))
    return page.show("admin_clients.html", clients=rows, next_path=next_part(PATH, next_cursor))


@router.get("/new")
@policy(Recent(STEP_UP_MINUTES, ClientPermission.CLIENTS_WRITE))
async def new_client_page(page: CurrentPage, roles: Roles) -> Response:
    """Ask what to register."""
    return page.show("admin_client_new.html", values={"kind": ClientKind.WEB}, **_choices(roles))


@router.post("/new", max_body_size=32 * KIB)
@policy(Recent(STEP_UP_MINUTES, ClientPermission.CLIENTS_WRITE))
async def add_client(
    request: Request, page: CurrentPage, clients: Clients, roles: Roles, principal: CurrentPrincipal
) -> Response:
    """Register a client; this page alone shows its secret."""
    form, typed = await read_form(request, _form(tuple(roles.permissions)), "admin_client_new.html", **_choices(roles))
    with form.handle_errors():
        client, secret = await clients.add(principal, typed.described(roles.permissions))
    return with_secret(page, client, secret)


def with_secret(page: CurrentPage, client: RegisteredClient, secret: SecretStr | None) -> Response:
    """The one page that shows the secret of a client."""
    shown = None if secret is None else secret.get_secret_value()
    return page.show("admin_client_secret.html", client=client, secret=shown)


def _choices(roles: RoleTable) -> dict[str, Any]:
    scopes = [(_field(name), name, permission.description) for name, permission in roles.permissions.items()]
    return {"scopes": scopes, "choices": role_choices(roles)}


def _unprocessable(error: ValidationError) -> Unprocessable:
    """What is wrong, beside the field that the form has for it."""
    errors = [
        {"location": ["body", str(item["loc"][0]) if item["loc"] else ""], "reason": f"{item['msg']}."}
        for item in error.errors(include_input=False, include_url=False)
    ]
    reasons = [{**each, "reason": str(each["reason"]).removeprefix("Value error, ")} for each in errors]
    return Unprocessable("The client breaks a rule.", errors=reasons)
