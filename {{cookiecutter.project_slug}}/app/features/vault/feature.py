"""The sample vault, as a feature."""

from app.access.roles import EVERY_ROLE
from app.core.database.personal_data import PersonalData
from app.feature import Feature, ResealJob
from app.features.vault.events import VaultEvent
from app.features.vault.models import Secret
from app.features.vault.permissions import VaultPermission
from app.features.vault.routes import router
from app.features.vault.service import VAULT_KEY, VaultService

VAULT = Feature(
    name="vault",
    uses=("sessions",),
    provide=VaultService,
    api=(router,),
    tables=(Secret,),
    grants=dict.fromkeys(VaultPermission, EVERY_ROLE),
    events=(VaultEvent,),
    keys=(VAULT_KEY,),
    personal_data=(
        PersonalData(
            name="secrets",
            table=Secret,
            show=lambda services, secret: services[VaultService].masked(secret).model_dump(mode="json"),
        ),
    ),
    reseal=(ResealJob("secrets of the vault", lambda services: services[VaultService]),),
)
