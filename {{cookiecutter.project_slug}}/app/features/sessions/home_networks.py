"""Home networks: where the owner of an account signed in with the password, or reset it by mail.

Over the limits of the sign-in, the right password gets in from there alone (`signin/limits.py`), so that nobody
elsewhere locks the owner out. A network is what the limits count together: an IPv4 address, or a /64 of IPv6. What a
program does for the user, such as the exchange of a code, makes none: the address is its server's.

Who writes has locked the row of the account: two sign-ins at once add a network once.
"""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, bindparam, delete, exists, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.clock import utc_now
from app.core.database.database import table_of
from app.core.limits.limiter import subscriber
from app.core.settings.model import Settings
from app.features.sessions.models import HomeNetwork

_homes = table_of(HomeNetwork)
_this = (_homes.c.user_id == bindparam("of_user"), _homes.c.network == bindparam("of_network"))
_USE = update(_homes).where(*_this).values(last_used_at=bindparam("now"))
_FORGET_OTHERS = delete(_homes).where(_this[0], _homes.c.network != bindparam("of_network"))


def at_home(user_id: ColumnElement[UUID]) -> ColumnElement[bool]:
    """The part of a statement that tells whether `:network` is a home of the account."""
    return exists().where(_homes.c.user_id == user_id, _homes.c.network == bindparam("network"))


def remember_home(connection: Connection, user_id: UUID, ip: str) -> None:
    """Count the network of the address as a home of the account, from now on."""
    network, now = subscriber(ip), utc_now()
    if not connection.execute(_USE, {"of_user": user_id, "of_network": network, "now": now}).rowcount:
        connection.execute(insert(_homes), {"user_id": user_id, "network": network, "last_used_at": now})


def forget_other_homes(connection: Connection, user_id: UUID, ip: str) -> None:
    """Leave the account no home but the network of the address, if that is one: it has a new password."""
    connection.execute(_FORGET_OTHERS, {"of_user": user_id, "of_network": subscriber(ip)})


class HomeNetworkRetention:
    """Deletes networks that were last used long ago."""

    def __init__(self, settings: Settings) -> None:
        self._kept = timedelta(days=settings.retention_address_days)

    async def purge(self, db: AsyncSession, *, before: datetime, limit: int) -> int:  # noqa: ARG002  # a setting of its own
        """Delete up to `limit` networks; how many, 0 when there are none."""
        key = tuple_(HomeNetwork.user_id, HomeNetwork.network)
        old = select(HomeNetwork.user_id, HomeNetwork.network).where(HomeNetwork.last_used_at < utc_now() - self._kept)
        gone = delete(HomeNetwork).where(key.in_(old.limit(limit))).returning(HomeNetwork.user_id)
        return len((await db.execute(gone)).all())
