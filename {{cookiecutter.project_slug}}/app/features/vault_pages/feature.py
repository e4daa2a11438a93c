"""The pages of the sample vault, as a feature."""

from pathlib import Path

from app.core.services import Services
from app.feature import Feature
from app.features.pages.kit.site import PageLink, Site
from app.features.vault_pages.routes import VaultNotice, router


def provide(services: Services) -> None:
    """Add the pages to the site."""
    services[Site].add(
        templates=Path(__file__).with_name("templates"),
        notices=VaultNotice,
        links=(PageLink("/account/vault", "Vault", "safe", "Your secrets, sealed."),),
        goes_with_account=("the secrets in your vault",),
    )


VAULT_PAGES = Feature(name="vault_pages", uses=("pages", "vault"), provide=provide, root=(router,))
