"""The tables of access and of events, as the features declare them."""

import re

from app.access.roles import RoleTable
from app.assembly import FEATURES
from app.core.database.migrations import MIGRATIONS
from app.core.events import EventCatalog

ROLES = RoleTable({name: roles for feature in FEATURES for name, roles in feature.grants.items()})
PERMISSIONS = ROLES.permissions
permissions_of = ROLES.permissions_of
EVENTS = EventCatalog(event for feature in FEATURES for events in feature.events for event in events).events
EVENT = {str(event): event for event in EVENTS}


def documented_events() -> dict[str, tuple[str, str]]:
    """When each event happens and which fields it has, by its name, as the tables in `docs/` say."""
    text = "".join(path.read_text(encoding="utf-8") for path in (MIGRATIONS.parent / "docs").rglob("*.md"))
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \| .* \| \w+ \|$", text, re.MULTILINE)
    return {name: (when, fields) for name, when, fields in rows}
