"""The pages of the vault: secrets are masked, and shown only by the response to a form, which is audited."""

from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import SecretStr
from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, Recent, policy
from app.access.principal import CurrentPrincipal
from app.core.pagination import CursorText, PageParams
from app.core.schemas import DisplayName
from app.features.pages.kit.forms import FormBody, read_form
from app.features.pages.kit.notices import Notice
from app.features.pages.kit.page import CurrentPage
from app.features.pages.kit.route import PageRoute
from app.features.pages.kit.urls import next_part
from app.features.vault.permissions import VaultPermission
from app.features.vault.routes import Vault
from app.features.vault.schemas import LARGEST_SECRET, GivenString, SecretCreate

router = APIRouter(prefix="/account/vault", route_class=PageRoute)

_PATH = "/account/vault"


class VaultNotice(Notice):
    """Notices about secrets."""

    SECRET_ADDED = "secret-added", "The secret is in your vault."
    SECRET_DELETED = "secret-deleted", "The secret has been deleted."


class SecretForm(FormBody):
    """A secret to keep: a name and a text."""

    name: DisplayName
    secret_string: GivenString


@router.get("")
@policy(Allow(VaultPermission.SECRETS_READ))
async def vault_page(
    page: CurrentPage, vault: Vault, principal: CurrentPrincipal, cursor: CursorText = None
) -> Response:
    """List my secrets, newest first, masked."""
    secrets, next_cursor = await vault.list_masked(principal.user_id, PageParams(cursor=cursor))
    return page.show("vault.html", secrets=secrets, next_path=next_part(_PATH, next_cursor))


@router.get("/new")
@policy(Allow(VaultPermission.SECRETS_WRITE))
async def new_secret_page(page: CurrentPage) -> Response:
    """Ask for a name and a text."""
    return page.show("vault_new.html")


@router.post("/new", max_body_size=LARGEST_SECRET)
@policy(Allow(VaultPermission.SECRETS_WRITE))
async def create_secret(request: Request, page: CurrentPage, vault: Vault, principal: CurrentPrincipal) -> Response:
    """Keep a secret. Forms send CRLF: lines are stored with a line feed."""
    form, typed = await read_form(request, SecretForm, "vault_new.html")
    text = SecretStr(typed.secret_string.get_secret_value().replace("\r\n", "\n"))
    with form.handle_errors():
        await vault.create(principal, SecretCreate(name=typed.name, secret_string=text))
    return page.go(_PATH, VaultNotice.SECRET_ADDED)


@router.post("/{secret_id}/reveal")
@policy(Recent(STEP_UP_MINUTES, VaultPermission.SECRETS_REVEAL))
async def reveal_secret(secret_id: UUID, page: CurrentPage, vault: Vault, principal: CurrentPrincipal) -> Response:
    """Show the values of one of my secrets. As every page, the response is not cached."""
    secret = await vault.get(principal.user_id, secret_id)
    values = await vault.reveal(principal.user_id, secret_id)
    return page.show("vault_revealed.html", secret=secret, revealed=values.model_dump(mode="json"))


@router.post("/{secret_id}/delete")
@policy(Allow(VaultPermission.SECRETS_WRITE))
async def delete_secret(secret_id: UUID, page: CurrentPage, vault: Vault, principal: CurrentPrincipal) -> Response:
    """Delete one of my secrets."""
    await vault.delete(principal, secret_id)
    return page.go(_PATH, VaultNotice.SECRET_DELETED)
