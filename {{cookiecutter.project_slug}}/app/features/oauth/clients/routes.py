"""The administration of OAuth clients."""

from typing import Annotated
from uuid import UUID

from app.access.guard import GuardedRouter
from app.access.policies import STEP_UP_MINUTES, Allow, CurrentPrincipal, OwnSession, Recent, policy
from app.core.pagination import QueryParams
from app.core.schemas import Page
from app.core.services import provided
from app.features.oauth.clients.schemas import ClientCreate, ClientCreated, ClientRead
from app.features.oauth.clients.service import ClientService
from app.features.oauth.permissions import ClientPermission
from app.http.request.body_limit import KIB

# A new secret outlives the session of the user who made it: each write needs a recent sign-in (ASVS 7.5.3).
router = GuardedRouter(prefix="/clients", tags=["oauth"])

Clients = Annotated[ClientService, provided(ClientService)]


@router.get("")
@policy(Allow(ClientPermission.CLIENTS_READ))
async def list_clients(clients: Clients, params: QueryParams) -> Page[ClientRead]:
    """List all clients, newest first, without their secrets."""
    rows, next_cursor = await clients.list_clients(params)
    return Page(items=[ClientRead.model_validate(row) for row in rows], next_cursor=next_cursor)


@router.post("", status_code=201, max_body_size=16 * KIB)
@policy(Recent(STEP_UP_MINUTES, ClientPermission.CLIENTS_WRITE))
async def add_client(new: ClientCreate, clients: Clients, principal: CurrentPrincipal) -> ClientCreated:
    """Register a client; the answer is the only one with its secret."""
    return ClientCreated.with_secret(*await clients.add(principal, new))


@router.delete("/{client_id}", status_code=204)
@policy(OwnSession(STEP_UP_MINUTES, ClientPermission.CLIENTS_WRITE))
async def remove_client(client_id: UUID, clients: Clients, principal: CurrentPrincipal) -> None:
    """Remove a client: every session that it has ends, and its service account is deleted."""
    await clients.remove(principal, client_id)


@router.post("/{client_id}/secret", responses={409: {"description": "A public client has no secret"}})
@policy(OwnSession(STEP_UP_MINUTES, ClientPermission.CLIENTS_WRITE))
async def rotate_secret(client_id: UUID, clients: Clients, principal: CurrentPrincipal) -> ClientCreated:
    """Give a client another secret, which only this answer has; the old one stops working."""
    return ClientCreated.with_secret(*await clients.rotate_secret(principal, client_id))
