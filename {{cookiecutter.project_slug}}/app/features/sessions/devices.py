"""Devices: what an account is signed in to from, as far as a server can tell it without a cookie.

A device is a network and a program: the network is what the limits count together, so that an IPv6 address that changes
for privacy is no other device, and the program is what the user agent says without its versions, so that an update is
none either. Whoever wants to look like another device's program can; from another network nobody looks like it.
"""

import hashlib
import re
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection, bindparam, exists, func, or_, select

from app.core.clock import utc_now
from app.core.database.database import table_of
from app.core.limits.limiter import subscriber
from app.features.sessions.client import Client
from app.features.sessions.models import HomeNetwork, Session

LONGEST_USER_AGENT = 300

_TOLD_PER_HOUR = 5
_HOUR = timedelta(hours=1)
_VERSION = re.compile(r"[0-9][0-9._]*")

_sessions, _homes = table_of(Session), table_of(HomeNetwork)
_own = (_sessions.c.user_id == bindparam("of_user"), _sessions.c.device.is_not(None))
_home = _homes.c.user_id == bindparam("of_user")
_recent = select(_sessions.c.device).where(*_own).group_by(_sessions.c.device)
_recent = _recent.having(func.min(_sessions.c.created_at) > bindparam("since"))
# No row for a device that is known or the first; else how many are as new. That is counted for new ones alone.
_NEW = select(select(func.count()).select_from(_recent.subquery()).scalar_subquery()).where(
    ~exists().where(_sessions.c.device == bindparam("device")),
    or_(
        exists().where(*_own),
        # After its sessions were purged, an account still knows its networks.
        exists().where(_home) & ~exists().where(_home, _homes.c.network == bindparam("network")),
    ),
)


def device_of(user_id: UUID, client: Client) -> bytes:
    """What sessions of the account store of the device: it tells which have the same one."""
    program = _VERSION.sub("", client.user_agent[:LONGEST_USER_AGENT])
    return hashlib.sha256(f"{user_id}\0{subscriber(client.ip)}\0{program}".encode()).digest()


def is_new_device(connection: Connection, user_id: UUID, client: Client) -> bool:
    """Whether the owner is to be told of the device of a sign-in that is about to start; the account is locked.

    Not of the first device that an account has, and of no more than five new ones within an hour: a mailbox is not
    flooded by somebody who has the password.
    """
    network, device = subscriber(client.ip), device_of(user_id, client)
    asked = {"of_user": user_id, "network": network, "device": device, "since": utc_now() - _HOUR}
    number = connection.execute(_NEW, asked).scalar()
    return number is not None and number < _TOLD_PER_HOUR
