"""One OAuth client: what it is, another secret for it, and its removal."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, OwnSession, policy
from app.access.principal import CurrentPrincipal
from app.features.oauth.clients.registered import RegisteredClient
from app.features.oauth.clients.routes import Clients
from app.features.oauth.permissions import ClientPermission
from app.features.pages.admin.clients import PATH, with_secret
from app.features.pages.kit.forms import NoFields, read_form
from app.features.pages.kit.notices import PagesNotice
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute

router = APIRouter(prefix=f"{PATH}/{{client_id}}", route_class=PageRoute)


async def _client(client_id: UUID, clients: Clients) -> RegisteredClient:
    return await clients.get_by_id(client_id)


Client = Annotated[RegisteredClient, Depends(_client)]
"""The client that the path names."""


@router.get("")
@policy(Allow(ClientPermission.CLIENTS_READ))
async def client_page(page: CurrentPage, client: Client) -> Response:
    """Show one client."""
    return page.show("admin_client.html", client=client)


@router.post("/secret")
@policy(OwnSession(STEP_UP_MINUTES, ClientPermission.CLIENTS_WRITE))
async def rotate_secret(
    request: Request, page: CurrentPage, client: Client, clients: Clients, principal: CurrentPrincipal
) -> Response:
    """Give the client another secret, which this page alone shows."""
    form, _ = await read_form(request, NoFields, "admin_client.html", client=client)
    with form.handle_errors():
        return with_secret(page, *await clients.rotate_secret(principal, client.id))


@router.post("/remove")
@policy(OwnSession(STEP_UP_MINUTES, ClientPermission.CLIENTS_WRITE))
async def remove_client(
    request: Request, page: CurrentPage, client: Client, clients: Clients, principal: CurrentPrincipal
) -> Response:
    """Remove the client; every session that it has ends."""
    form, _ = await read_form(request, NoFields, "admin_client.html", client=client)
    with form.handle_errors():
        await clients.remove(principal, client.id)
    return page.go(PATH, PagesNotice.CLIENT_REMOVED)
