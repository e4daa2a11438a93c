"""My secrets, as pages: they are masked, and shown only by the response to a form, which is audited."""

from uuid import UUID

from starlette.responses import Response

from app.access.policies import STEP_UP_MINUTES, Allow, Recent
from app.core.pagination import CursorText, PageParams
from app.core.schemas import DisplayName
from app.features.pages.kit.forms import FormBody
from app.features.pages.kit.page import CurrentPage, PageRouter
from app.features.pages.kit.site import Notice
from app.features.vault.permissions import VaultPermission
from app.features.vault.routes import Vault
from app.features.vault.schemas import LARGEST_SECRET, GivenString, SecretCreate

router = PageRouter(__name__, "/account/vault")


class VaultNotice(Notice):
    """Notices about secrets."""

    SECRET_ADDED = "secret-added", "The secret is in your vault."
    SECRET_DELETED = "secret-deleted", "The secret has been deleted."


class SecretForm(FormBody):
    """A secret to keep: a name and a text."""

    name: DisplayName
    secret_string: GivenString


@router.page("", Allow(VaultPermission.SECRETS_READ))
async def vault_page(page: CurrentPage, vault: Vault, cursor: CursorText = None) -> Response:
    """List my secrets, newest first, masked."""
    found = await vault.list_own(page.principal.user_id, PageParams(cursor=cursor))
    return page.show("vault.html", secrets=found.items, next_path=page.next_path(found.next_cursor))


@router.form("/new", Allow(VaultPermission.SECRETS_WRITE), page="vault_new.html", max_body_size=LARGEST_SECRET)
async def create_secret(page: CurrentPage, vault: Vault) -> Response:
    """Keep a secret."""
    async with page.form(SecretForm, "vault_new.html") as typed:
        await vault.create(page.principal, SecretCreate(name=typed.name, secret_string=typed.secret_string))
    return page.go(router.prefix, VaultNotice.SECRET_ADDED)


@router.form("/{secret_id}/reveal", Recent(STEP_UP_MINUTES, VaultPermission.SECRETS_REVEAL))
async def reveal_secret(secret_id: UUID, page: CurrentPage, vault: Vault) -> Response:
    """Show the values of one of my secrets. As every page, the response is not cached."""
    secret = await vault.get(page.principal.user_id, secret_id)
    values = await vault.reveal(page.principal.user_id, secret_id)
    return page.show("vault_revealed.html", secret=secret, revealed=values.model_dump(mode="json"))


@router.form("/{secret_id}/delete", Allow(VaultPermission.SECRETS_WRITE))
async def delete_secret(secret_id: UUID, page: CurrentPage, vault: Vault) -> Response:
    """Delete one of my secrets."""
    await vault.delete(page.principal, secret_id)
    return page.go(router.prefix, VaultNotice.SECRET_DELETED)
