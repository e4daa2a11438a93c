"""Where an account is used: clients, home networks, and devices as far as a server tells them apart without a cookie.

A device is a network (an IPv4 address, or a /64 of IPv6) and a user agent without its versions. A home network is where
the owner signed in with the password, or reset it by mail, not what a program did for them: over the limits, the right
password gets in from there alone (`signin/limits.py`), so that an attacker elsewhere cannot lock the owner out.
"""

import re
from datetime import datetime, timedelta
from typing import Annotated, Any, NamedTuple
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, exists, func, insert, or_, select, update

from app.access.policies import MFA
from app.core.clock import utc_now
from app.core.crypto import digest
from app.core.database.database import table_of
from app.core.limits import subscriber
from app.core.services import Services
from app.core.settings.model import Settings
from app.features.sessions.models import HomeNetwork, Session
from app.http.request.proxies import client_ip_of

LONGEST_USER_AGENT = 300

_ALERTS_PER_HOUR = 5
_VERSION = re.compile(r"[0-9][0-9._]*")


class Client(NamedTuple):
    """The address that is believed, and what the client calls itself."""

    ip: str
    user_agent: str


async def _client_of(request: Request) -> Client:
    return Client(ip=client_ip_of(request.scope), user_agent=request.headers.get("User-Agent", ""))


RequestClient = Annotated[Client, Depends(_client_of)]
"""The client as a parameter of a handler."""

_sessions, _homes = table_of(Session), table_of(HomeNetwork)
_of_user: ColumnElement[UUID] = bindparam("of_user")
_of_network = _homes.c.network == bindparam("of_network")


def at_home(user_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Return the condition that `:of_network` is a home of the account."""
    return exists().where(_homes.c.user_id == user_id, _of_network)


def newest_session(user_id: Any) -> Any:
    """Return when the newest session of the account began that is kept."""
    return select(func.max(_sessions.c.created_at)).where(_sessions.c.user_id == user_id).scalar_subquery()


_own_homes = _homes.c.user_id == _of_user
_USE = update(_homes).where(_own_homes, _of_network).values(last_used_at=bindparam("now"))
_FORGET_OTHERS = delete(_homes).where(_own_homes, ~_of_network)
_own = (_sessions.c.user_id == _of_user, _sessions.c.device.is_not(None))
_recent = select(_sessions.c.device).where(*_own).group_by(_sessions.c.device)
_recent = _recent.having(func.min(_sessions.c.created_at) > bindparam("since"))
# No row for a device that is known or the first; else how many are as new, which is counted for new ones alone.
_NEW = select(select(func.count()).select_from(_recent.subquery()).scalar_subquery()).where(
    ~exists().where(_sessions.c.device == bindparam("device")),
    # After its sessions were purged, an account still knows its networks.
    or_(exists().where(*_own), exists().where(_own_homes) & ~at_home(_of_user)),
)


def device_of(user_id: UUID, client: Client) -> bytes:
    """Return what the sessions of an account store of a device, to tell which have the same one."""
    program = _VERSION.sub("", client.user_agent[:LONGEST_USER_AGENT])
    return digest(f"{user_id}\0{subscriber(client.ip)}\0{program}")


def session_with_factor(user_id: UUID, client: Client) -> Select[Any]:
    """Select a session in which the owner used a second factor with this device: who resets the password has none."""
    of_device = (_sessions.c.user_id == user_id, _sessions.c.device == device_of(user_id, client))
    return select(_sessions.c.id).where(*of_device, _sessions.c.methods.contains(MFA)).limit(1)


def is_new_device(connection: Connection, user_id: UUID, client: Client) -> bool:
    """Return whether to alert the owner: not of the first device, of five an hour at most. The account is locked."""
    asked = {"of_user": user_id, "of_network": subscriber(client.ip), "since": utc_now() - timedelta(hours=1)}
    number = connection.execute(_NEW, {**asked, "device": device_of(user_id, client)}).scalar()
    return number is not None and number < _ALERTS_PER_HOUR


def remember_home(connection: Connection, user_id: UUID, ip: str) -> None:
    """Make the network of the address a home of the account, used now; the caller has locked the account."""
    network, now = subscriber(ip), utc_now()
    if not connection.execute(_USE, {"of_user": user_id, "of_network": network, "now": now}).rowcount:
        connection.execute(insert(_homes), {"user_id": user_id, "network": network, "last_used_at": now})


def forget_other_homes(connection: Connection, user_id: UUID, ip: str) -> None:
    """Forget every home of the account but the network of the address: the account has a new password."""
    connection.execute(_FORGET_OTHERS, {"of_user": user_id, "of_network": subscriber(ip)})


def unused_homes(services: Services, _: datetime) -> ColumnElement[bool]:
    """Return the condition for `manage purge`: networks have a retention time of their own, in days."""
    return HomeNetwork.last_used_at < utc_now() - timedelta(days=services[Settings].retention_address_days)
