"""The pages of the sample vault, as a feature."""

from pathlib import Path

from app.feature import Feature
from app.features.pages.kit.site import PageLink, Site
from app.features.vault_pages.routes import VaultNotice, router

VAULT_PAGES = Feature(
    name="vault_pages",
    uses=("pages", "vault"),
    provide=lambda services: services[Site].add(
        templates=Path(__file__).with_name("templates"),
        notices=VaultNotice,
        links=(PageLink("/account/vault", "Vault", "safe", "Your secrets, sealed."),),
        goes_with_account=("the secrets in your vault",),
    ),
    root=(router,),
)
