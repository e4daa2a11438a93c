"""Who keeps rows that need upkeep: one line for each, wired as `main.py` wires the service."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

from app.core.crypto.keys import KeyRing
from app.core.database.batches import Purgeable, Resealable
from app.core.database.database import Database
from app.core.database.migrations import require_current
from app.core.mail.outbox import Outbox
from app.core.settings.model import Settings
from app.features.accounts.mailed.retention import UnconfirmedAccountRetention
from app.features.accounts.mailed.tokens import AccountTokens
from app.features.audit.service import AuditTrail
from app.features.browser.seals import BrowserSessionSeals
from app.features.sessions.home_networks import HomeNetworkRetention
from app.features.sessions.retention import SessionRetention
from app.features.sessions.service import SessionService
from app.features.signin.retention import RefreshTokenRetention
from app.features.vault.service import VaultService


class Wiring(NamedTuple):
    """What a service is made of."""

    settings: Settings
    database: Database
    keys: KeyRing


class Sealed(NamedTuple):
    """Rows that a key sealed: what people call them, and how their service is made.

    `delays_rotation` is false where nothing is sealed: the end of the trail is confirmed, as the next event does.
    """

    name: str
    service: Callable[[Wiring], Resealable]
    delays_rotation: bool = True


class Kept(NamedTuple):
    """Rows that are worth nothing after some time: what people call them, and how their service is made."""

    name: str
    service: Callable[[Wiring], Purgeable]


def _sessions(wiring: Wiring) -> SessionService:
    return SessionService(wiring.database, wiring.settings, wiring.keys)


def _session_retention(wiring: Wiring) -> SessionRetention:
    return SessionRetention(wiring.database, _sessions(wiring))


def _refresh_token_retention(wiring: Wiring) -> RefreshTokenRetention:
    return RefreshTokenRetention(wiring.database, _sessions(wiring))


def _outbox(wiring: Wiring) -> Outbox:
    return Outbox(wiring.keys)


SEALED: tuple[Sealed, ...] = (
    Sealed("mail", _outbox),
    Sealed("heads of the audit trail", lambda wiring: AuditTrail(wiring.database, wiring.keys), delays_rotation=False),
    Sealed("browser sessions", lambda wiring: BrowserSessionSeals(wiring.keys)),
    Sealed("secrets of the vault", lambda wiring: VaultService(wiring.database, wiring.settings, wiring.keys)),
)

# The tokens stand above their sessions: deleting a session deletes what is left of its tokens, however many.
KEPT: tuple[Kept, ...] = (
    Kept("refresh tokens", _refresh_token_retention),
    Kept("sessions", _session_retention),
    Kept("home networks", lambda wiring: HomeNetworkRetention(wiring.settings)),
    Kept("mail", _outbox),
    Kept("mailed tokens", lambda _: AccountTokens()),
    Kept("unconfirmed accounts", lambda _: UnconfirmedAccountRetention()),
)


@asynccontextmanager
async def wired(settings: Settings) -> AsyncIterator[Wiring]:
    """Open the database, which has the schema of this version, for the block."""
    database = Database(settings.database_url)
    try:
        await require_current(database)
        keys = KeyRing(settings.secret_key, settings.secret_key_fallbacks)
        AuditTrail(database, keys)  # records the events that upkeep tells
        yield Wiring(settings, database, keys)
    finally:
        await database.close()
