"""API keys, as a feature."""

from pathlib import Path

from app.access.roles import ADMINISTRATORS
from app.core.database.personal_data import PersonalData
from app.feature import Feature, ResealJob, RetentionJob
from app.features.api_keys.events import ApiKeyEvent
from app.features.api_keys.models import ApiKey
from app.features.api_keys.permissions import ApiKeyPermission
from app.features.api_keys.routes import others, router
from app.features.api_keys.service import API_KEY_SEAL, ApiKeyMail, ApiKeyService

API_KEYS = Feature(
    name="api_keys",
    uses=("accounts", "factors", "sessions"),
    provide=ApiKeyService,
    api=(router, others),
    tables=(ApiKey,),
    mails={Path(__file__).with_name("templates"): ApiKeyMail},
    grants=dict.fromkeys(ApiKeyPermission, ADMINISTRATORS),
    events=(ApiKeyEvent,),
    keys=(API_KEY_SEAL,),
    personal_data=(
        PersonalData(name="api_keys", table=ApiKey),
        PersonalData(name="api_keys_made", table=ApiKey, owner="made_by", without=("last_used_at", "last_used_ip")),
    ),
    purge=(RetentionJob("API keys", ApiKey, lambda _, before: ApiKey.expires_at < before),),
    reseal=(ResealJob("API keys", lambda services: services[ApiKeyService]),),
)
