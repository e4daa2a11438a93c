"""Security events: what happened to accounts, sessions and rights, under names that do not change (ASVS 16.3).

They are logged at every `LOG_LEVEL`, and each is a row of the audit trail (`docs/logging.md`).
"""

from collections.abc import Iterable
from enum import Enum, StrEnum
from typing import Annotated, Self

from pydantic import WithJsonSchema

from app.core.errors import Unprocessable


class UserIs(Enum):
    """What the field `user_id` of an event says."""

    ACTOR = "who did it"
    SUBJECT = "whom it happened to"
    NOBODY = ""


class SessionIs(Enum):
    """What the field `session_id` of an event says."""

    ASKING = "the session of the request"
    TARGET = "what it was done to"


ACTOR, SUBJECT, NOBODY = UserIs
ON_SESSION = SessionIs.TARGET


class SecurityEvent(StrEnum):
    """An event that monitoring relies on: a name may be added, but never changed.

    A feature declares its own in a subclass. Each member is its name, when it happens, and, if there are any, its
    fields, what `user_id` is, and `ON_SESSION` if `session_id` is what it was done to.
    """

    when: str
    fields: str
    user_is: UserIs
    session_is: SessionIs

    def __new__(
        cls, name: str, when: str, fields: str = "", user_is: UserIs = NOBODY, session_is: SessionIs = SessionIs.ASKING
    ) -> Self:
        """Make a member of its name and what `docs/logging.md` says of it."""
        member = str.__new__(cls, name)
        member._value_, member.when, member.fields = name, when, fields
        member.user_is, member.session_is = user_is, session_is
        return member


class KeyEvent(SecurityEvent):
    """Security events of the secret key."""

    KEY_ROTATED = (
        "key_rotated",
        "`manage rotate-secret-key` made another `SECRET_KEY`",
        "`current`, the name of its key in the trail; `late`",
    )
    KEYS_RETIRED = (
        "keys_retired",
        "`manage rotate-secret-key --retire` removed the earlier keys",
        "`late` where an earlier run was killed before it told",
    )


class UpkeepEvent(SecurityEvent):
    """Security events of the commands that look after the database."""

    BACKUP_MADE = "backup_made", "`manage backup` copied the database"
    DATABASE_RESTORED = "database_restored", "`manage restore` put a backup into the place of the database"
    ROWS_PURGED = "rows_purged", "`manage purge` deleted what was over", "`rows`"


EventName = Annotated[str, WithJsonSchema({"$ref": "#/components/schemas/SecurityEvent"})]
"""The name of an event, in a request. The description of the API has all of them in one place."""


class EventCatalog:
    """Every event that this service can emit."""

    def __init__(self, events: Iterable[SecurityEvent]) -> None:
        self.events = tuple(sorted(events))

    def require(self, name: str | None, *location: str) -> None:
        """Raise `Unprocessable` if a name that was sent at this `location` is not that of an event; None is no name."""
        if name is not None and name not in self.events:
            error = {"location": [*location], "reason": "There is no such event."}
            raise Unprocessable("The request breaks a rule; see errors.", errors=[error])
