"""The features of this service, in the order in which they stand on each other: to add one, name it here."""

from app.features.accounts.feature import ACCOUNTS
from app.features.api_keys.feature import API_KEYS
from app.features.api_keys_pages.feature import API_KEYS_PAGES
from app.features.audit.feature import AUDIT
from app.features.authorization.feature import AUTHORIZATION
from app.features.browser.feature import BROWSER
from app.features.factors.feature import FACTORS
from app.features.identity.feature import IDENTITY
from app.features.metrics.feature import METRICS
from app.features.oauth.feature import OAUTH
from app.features.pages.feature import PAGES
from app.features.sessions.feature import SESSIONS
from app.features.signin.feature import SIGNIN
from app.features.system.feature import SYSTEM
from app.features.telemetry.feature import TELEMETRY
from app.features.vault.feature import VAULT
from app.features.vault_pages.feature import VAULT_PAGES

FEATURES = (
    TELEMETRY,
    AUDIT,
    SYSTEM,
    SESSIONS,
    ACCOUNTS,
    FACTORS,
    SIGNIN,
    API_KEYS,
    METRICS,
    OAUTH,
    AUTHORIZATION,
    BROWSER,
    PAGES,
    IDENTITY,
    API_KEYS_PAGES,
    VAULT,
    VAULT_PAGES,
)
