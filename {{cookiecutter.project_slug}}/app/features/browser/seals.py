"""What this service says about the cookie of a session, sealed to its row: nobody else can have written it."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import LargeBinary, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.core.crypto.keys import KeyRing, Purpose
from app.core.crypto.sealing import SealBrokenError, Sealer
from app.features.browser.models import BrowserSession


class BrowserKey(Purpose):
    """Keys of browser sessions."""

    BROWSER_SESSION = "browser-session/v1"


class BrowserSessionSeals:
    """Seals whose session a cookie opens, when they signed in, and how."""

    def __init__(self, keys: KeyRing) -> None:
        self._sealer = Sealer(keys, BrowserKey.BROWSER_SESSION)

    def seal(self, session_id: UUID, id_hash: bytes, claims: bytes) -> bytes:
        """The claims, for the row of this session and this cookie alone."""
        return self._sealer.seal(claims, identity=_place(session_id, id_hash))

    def hold(self, session_id: UUID, id_hash: bytes, sealed: bytes, claims: bytes) -> bool:
        """Whether this service sealed these very claims for the row."""
        try:
            return self._sealer.open(sealed, identity=_place(session_id, id_hash)) == claims
        except SealBrokenError:
            return False

    async def reseal(self, db: AsyncSession, *, limit: int) -> int:
        """Seal up to `limit` rows with the current key that another one sealed; how many, 0 when there are none."""
        key_id = self._sealer.key_id
        other = func.substr(BrowserSession.sealed, 1, len(key_id), type_=LargeBinary) != key_id
        wanted = select(BrowserSession).where(other).order_by(BrowserSession.session_id).limit(limit).with_for_update()
        rows = (await db.scalars(wanted)).all()
        for row in rows:
            place = _place(row.session_id, row.id_hash)
            try:
                sealed = self._sealer.seal(self._sealer.open(row.sealed, identity=place), identity=place)
            except SealBrokenError:
                # It opens nothing any more: whose browser it is has to sign in again.
                await db.delete(row)
            else:
                row.sealed = sealed
        return len(rows)


def claims_of(user_id: UUID, authenticated_at: datetime, methods: Sequence[str]) -> bytes:
    """What is said about a session."""
    return orjson.dumps([str(user_id), authenticated_at.isoformat(), list(methods)])


def _place(session_id: UUID, id_hash: bytes) -> bytes:
    """Where a sealed value belongs: moved anywhere else, it does not open."""
    return b"browser_sessions|%b|%b" % (session_id.bytes, id_hash)
