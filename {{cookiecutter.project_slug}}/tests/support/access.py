"""The tables of access and of events, as the features declare them."""

from app.access.roles import RoleTable
from app.assembly import FEATURES
from app.core.events import EventCatalog
from tests.support.documents import names, rows

ROLES = RoleTable({name: roles for feature in FEATURES for name, roles in feature.grants.items()})
PERMISSIONS = ROLES.permissions
permissions_of = ROLES.permissions_of
EVENTS = EventCatalog(event for feature in FEATURES for events in feature.events for event in events).events
EVENT = {str(event): event for event in EVENTS}


def documented_events() -> dict[str, tuple[str, str]]:
    """When each event happens and which fields it has, by its name, as the tables in `docs/` say."""
    listed = rows("event", "when", "fields", "`user_id` is", "feature")
    return {names(event)[0]: (when, fields) for event, when, fields, *_ in listed}
