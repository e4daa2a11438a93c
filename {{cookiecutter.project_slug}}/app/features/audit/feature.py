"""The audit trail, as a feature."""

from app.access.roles import AUDITORS
from app.core.crypto import KeyRing
from app.core.database.database import Database
from app.core.database.personal_data import PersonalData
from app.core.services import Services
from app.feature import Feature, ResealJob
from app.features.audit.events import TrailEvent
from app.features.audit.models import AuditEvent, AuditHead
from app.features.audit.permissions import TrailPermission
from app.features.audit.routes import router
from app.features.audit.service import AuditTrail
from app.features.audit.trail.chain import TRAIL_KEY
from app.http.middleware.audit import Recorder

_CHAIN = ("shard", "place", "seen")


def provide(services: Services) -> None:
    """Provide the trail, which records the events of every transaction and of every request from here on."""
    services.add(Recorder(services.add(AuditTrail(services[Database], services[KeyRing])).record))


AUDIT = Feature(
    name="audit",
    provide=provide,
    run=lambda services: services[AuditTrail].recording(),  # the events of no request, too
    api=(router,),
    tables=(AuditEvent, AuditHead),
    grants={TrailPermission.AUDIT_READ: AUDITORS},
    events=(TrailEvent,),
    keys=(TRAIL_KEY,),
    personal_data=(
        PersonalData(name="actions", table=AuditEvent, owner="actor_id", without=_CHAIN),
        # What somebody else did is shown without who it was, and from where.
        PersonalData(
            name="done_to_me",
            table=AuditEvent,
            owner="target_id",
            without=(*_CHAIN, "actor_id", "session_id", "ip", "user_agent", "request_id"),
        ),
    ),
    reseal=(ResealJob("heads of the audit trail", lambda services: services[AuditTrail], delays_rotation=False),),
)
