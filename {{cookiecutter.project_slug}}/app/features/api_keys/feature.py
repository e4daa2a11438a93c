"""API keys, as a feature."""

from pathlib import Path

from app.access.guard import Authentication
from app.access.roles import ADMINISTRATORS
from app.core.database.personal_data import PersonalData
from app.core.services import Services
from app.feature import Feature, ResealJob, RetentionJob
from app.features.accounts.mailed.recovery import MailboxService
from app.features.api_keys.events import ApiKeyEvent
from app.features.api_keys.keys import API_KEY_SEAL
from app.features.api_keys.models import ApiKey
from app.features.api_keys.permissions import ApiKeyPermission
from app.features.api_keys.routes import others, router
from app.features.api_keys.service import ApiKeyMail, ApiKeyService
from app.features.sessions.service import SessionService


def provide(services: Services) -> None:
    """Provide the keys, and let them say who sends a request."""
    keys = services.add(ApiKeyService(services))
    services[SessionService].lock_key = keys.lock_alive
    services[MailboxService].reset_revocations.append(keys.end_all)
    services[Authentication].prefer(keys)
    services[Authentication].key_schemes["apiKey"] = {"type": "http", "scheme": "bearer", "bearerFormat": "API key"}


API_KEYS = Feature(
    name="api_keys",
    uses=("accounts", "factors", "sessions"),
    provide=provide,
    api=(router, others),
    tables=(ApiKey,),
    mails={Path(__file__).with_name("templates"): ApiKeyMail},
    grants=dict.fromkeys(ApiKeyPermission, ADMINISTRATORS),
    events=(ApiKeyEvent,),
    keys=(API_KEY_SEAL,),
    personal_data=(
        PersonalData(name="api_keys", table=ApiKey),
        PersonalData(name="api_keys_made", table=ApiKey, owner="made_by"),
    ),
    purge=(RetentionJob("API keys", ApiKey, lambda _, before: ApiKey.expires_at < before),),
    reseal=(ResealJob("API keys", lambda services: services[ApiKeyService]),),
)
