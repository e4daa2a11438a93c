"""Who did it, and whom it happened to: for every event, what the docs say is what its row says."""

from uuid import uuid4

import pytest

from app.core.clock import utc_now
from app.core.events import NOBODY, SUBJECT, EventRecord, RequestOrigin, SecurityEvent
from app.features.audit.trail.append import Entry, entry_of
from tests.conftest import StartService
from tests.support.access import EVENTS, documented_events
from tests.support.api.account_mail import Post
from tests.support.records.mail import Mailbox
from tests.support.records.trail import Row, stored

pytestmark = pytest.mark.asvs("16.2.1")

USER, SESSION, PRINCIPAL = uuid4(), uuid4(), uuid4()


def entry(event: SecurityEvent, origin: RequestOrigin, **fields: object) -> Entry:
    """The columns for an event about the user."""
    return entry_of(EventRecord(event, "success", {"user_id": USER, **fields}, utc_now(), origin))


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_says_who_its_user_is(event: SecurityEvent) -> None:
    """An event that names a user and does not say whether they did it or suffered it is not finished."""
    _, fields = documented_events()[str(event)]
    assert (event.user_is is NOBODY) == ("`user_id`" not in fields)


@pytest.mark.parametrize("event", EVENTS)
def test_the_row_says_what_the_event_says(event: SecurityEvent) -> None:
    """Nobody is said to have done what happened to them; the principal of the request did it, where there is one."""
    suffered = event.user_is is SUBJECT
    row, asked = entry(event, RequestOrigin()), entry(event, RequestOrigin(actor_id=PRINCIPAL))
    assert row["actor_id"] == (None if suffered else USER)
    assert (row["target_type"], row["target_id"]) == (("user", str(USER)) if suffered else (None, None))
    assert asked["actor_id"] == PRINCIPAL
    assert entry(event, RequestOrigin(), target_id=SESSION)["target_id"] == str(SESSION)


async def _rows(start: StartService, mailbox: Mailbox) -> tuple[str, list[Row]]:
    """The life of an account without one sign-in: its id, and its rows."""
    async with start() as service:
        post = Post(service, mailbox)
        await post.register("ada@people.example")
        await post.register("ada@people.example", "another password of nobody you know")
        await post.forgot("nobody@people.example")
        await post.verify(await post.token("ada@people.example", 2))
        await post.mailbox.wait("ada@people.example", 3)
        await post.forgot("ada@people.example")
        assert await post.reset(await post.token("ada@people.example", 4)) == 204
        rows = await stored(service)
    (account,) = {row["target_id"] for row in rows if row["action"] == "account_created"}
    return account, rows


@pytest.mark.anyio
async def test_what_needs_no_sign_in_has_no_actor(start: StartService, mailbox: Mailbox) -> None:
    """Over HTTP: a registration and its repetition, a confirmation, a reset; each has the account as its target."""
    account, rows = await _rows(start, mailbox)
    assert [(row["action"], row["actor_id"], row["target_id"]) for row in rows if row["action"] != "session_ended"] == [
        (action, None, target)
        for action, target in (
            ("account_created", account),
            ("registration_repeated", account),
            ("password_reset_requested", None),
            ("email_verified", account),
            ("password_reset_requested", account),
            ("password_reset", account),
        )
    ]
