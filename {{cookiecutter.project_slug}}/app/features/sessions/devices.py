"""Devices: what an account is signed in to from, as far as a server can tell without a cookie.

A device is a network and a program. The network is what the limits count together, so that an IPv6 address that changes
for privacy is no new device; the program is the user agent without its versions, so that an update is none either. The
user agent of another device can be imitated, its network cannot.
"""

import hashlib
import re
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, bindparam, exists, func, or_, select

from app.core.clock import utc_now
from app.core.database.database import table_of
from app.core.limits.limiter import subscriber
from app.features.sessions.client import Client
from app.features.sessions.home_networks import at_home
from app.features.sessions.models import HomeNetwork, Session

LONGEST_USER_AGENT = 300

_ALERTS_PER_HOUR = 5
_HOUR = timedelta(hours=1)
_VERSION = re.compile(r"[0-9][0-9._]*")

_sessions, _homes = table_of(Session), table_of(HomeNetwork)
_of_user: ColumnElement[UUID] = bindparam("of_user")
_own = (_sessions.c.user_id == _of_user, _sessions.c.device.is_not(None))
_recent = select(_sessions.c.device).where(*_own).group_by(_sessions.c.device)
_recent = _recent.having(func.min(_sessions.c.created_at) > bindparam("since"))
# No row for a device that is known or the first; else how many are as new, which is counted for new ones alone.
_NEW = select(select(func.count()).select_from(_recent.subquery()).scalar_subquery()).where(
    ~exists().where(_sessions.c.device == bindparam("device")),
    # After its sessions were purged, an account still knows its networks.
    or_(exists().where(*_own), exists().where(_homes.c.user_id == _of_user) & ~at_home(_of_user)),
)


def device_of(user_id: UUID, client: Client) -> bytes:
    """Return what the sessions of an account store of a device, to tell which have the same one."""
    program = _VERSION.sub("", client.user_agent[:LONGEST_USER_AGENT])
    return hashlib.sha256(f"{user_id}\0{subscriber(client.ip)}\0{program}".encode()).digest()


def is_new_device(connection: Connection, user_id: UUID, client: Client) -> bool:
    """Whether to alert the owner of the device of a sign-in that is about to start; the account is locked.

    The first device of an account alerts nobody. Five new ones an hour do at most: an attacker who has the password
    cannot flood the mailbox.
    """
    network, device = subscriber(client.ip), device_of(user_id, client)
    asked = {"of_user": user_id, "network": network, "device": device, "since": utc_now() - _HOUR}
    number = connection.execute(_NEW, asked).scalar()
    return number is not None and number < _ALERTS_PER_HOUR
