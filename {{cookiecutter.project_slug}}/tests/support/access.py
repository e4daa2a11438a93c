"""The tables of access and of events, as the features declare them."""

from app.access.roles import RoleTable
from app.assembly import FEATURES
from app.core.events import EventCatalog

ROLES = RoleTable({name: roles for feature in FEATURES for name, roles in feature.grants.items()})
PERMISSIONS = ROLES.permissions
permissions_of = ROLES.permissions_of
EVENTS = EventCatalog(event for feature in FEATURES for events in feature.events for event in events).events
EVENT = {str(event): event for event in EVENTS}
