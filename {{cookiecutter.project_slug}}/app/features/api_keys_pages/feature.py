"""The pages of the API keys, as a feature."""

from pathlib import Path

from app.feature import Feature
from app.features.api_keys_pages.routes import ALL, OWN, ApiKeyNotice, admin_router, router
from app.features.pages.kit.site import PageLink, Site

_FOLDER = Path(__file__).parent


API_KEYS_PAGES = Feature(
    name="api_keys_pages",
    uses=("accounts", "api_keys", "pages", "sessions"),
    provide=lambda services: services[Site].add(
        templates=_FOLDER / "templates",
        notices=ApiKeyNotice,
        links=(
            PageLink(OWN, "API keys", "key", "Which programs act for you."),
            PageLink(ALL, "API keys", "key", "Which programs act with a key, and for whom."),
        ),
        goes_with_account=("your API keys",),
    ),
    mails={_FOLDER / "mails": ()},
    root=(router, admin_router),
)
