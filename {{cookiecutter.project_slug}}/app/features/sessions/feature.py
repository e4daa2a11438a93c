"""Sessions, as a feature."""

from app.access.roles import EVERY_ROLE
from app.core.database.personal_data import PersonalData
from app.feature import Feature, RetentionJob
from app.features.sessions.devices import unused_homes
from app.features.sessions.events import SessionEvent
from app.features.sessions.models import HomeNetwork, Session
from app.features.sessions.permissions import AccountPermission
from app.features.sessions.routes import router
from app.features.sessions.service import SessionService

SESSIONS = Feature(
    name="sessions",
    provide=SessionService,
    api=(router,),
    tables=(HomeNetwork, Session),
    grants=dict.fromkeys(AccountPermission, EVERY_ROLE),
    events=(SessionEvent,),
    personal_data=(PersonalData(name="sessions", table=Session), PersonalData(name="home_networks", table=HomeNetwork)),
    purge=(
        RetentionJob("sessions", Session, lambda services, before: services[SessionService].over(before)),
        RetentionJob("home networks", HomeNetwork, unused_homes),
    ),
)
