"""Home networks: where the owner of an account signed in with the password, or reset it by mail.

Over the limits of the sign-in, the right password gets in from a home network alone (`signin/limits.py`), so that an
attacker elsewhere cannot lock the owner out. A network is what the limits count together: an IPv4 address, or a /64 of
IPv6. What a program does for the user, such as the exchange of a code, adds none: the address is its server's.

The caller has locked the row of the account, so that two sign-ins at once add a network once.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, insert, update

from app.core.clock import utc_now
from app.core.database.database import table_of
from app.core.limits.limiter import subscriber
from app.core.settings.model import Settings
from app.features.sessions.models import HomeNetwork

_homes = table_of(HomeNetwork)
_own = _homes.c.user_id == bindparam("of_user")
_USE = update(_homes).where(_own, _homes.c.network == bindparam("of_network")).values(last_used_at=bindparam("now"))
_FORGET_OTHERS = delete(_homes).where(_own, _homes.c.network != bindparam("of_network"))


def at_home(user_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """Return the condition that `:network` is a home of the account."""
    return exists().where(_homes.c.user_id == user_id, _homes.c.network == bindparam("network"))


def remember_home(connection: Connection, user_id: UUID, ip: str) -> None:
    """Make the network of the address a home of the account, used now."""
    network, now = subscriber(ip), utc_now()
    if not connection.execute(_USE, {"of_user": user_id, "of_network": network, "now": now}).rowcount:
        connection.execute(insert(_homes), {"user_id": user_id, "network": network, "last_used_at": now})


def forget_other_homes(connection: Connection, user_id: UUID, ip: str) -> None:
    """Forget every home of the account but the network of the address: the account has a new password."""
    connection.execute(_FORGET_OTHERS, {"of_user": user_id, "of_network": subscriber(ip)})


def unused_homes(settings: Settings) -> Callable[[datetime], ColumnElement[bool]]:
    """Return the condition for `manage purge`: networks have a retention time of their own, in days."""
    kept = timedelta(days=settings.retention_address_days)
    return lambda _: HomeNetwork.last_used_at < utc_now() - kept
