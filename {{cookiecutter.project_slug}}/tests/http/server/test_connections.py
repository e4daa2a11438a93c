"""`app/http/server/protocol.py`: which connection is cut off; `tests/security/raw/test_connections.py` shows it."""

from structlog.testing import capture_logs

from app.http.server.protocol import ConnectionLimit, DeadlineProtocol


class Recorded(DeadlineProtocol):
    """A connection that knows whether it was cut off."""

    def __init__(self) -> None:
        self.is_open = True

    def cut_off(self) -> None:
        """Note it."""
        self.is_open = False


def opened(limit: ConnectionLimit, number: int) -> list[Recorded]:
    """So many new connections."""
    connections = [Recorded() for _ in range(number)]
    for connection in connections:
        limit.add(connection)
    return connections


def test_the_longest_wait_ends_first() -> None:
    """One connection too many cuts off the first one that waits, and neither those that are answered nor new ones."""
    limit = ConnectionLimit(3)
    answered, waits, newer = opened(limit, 3)
    limit.set_waiting(answered, waiting=False)
    (new,) = opened(limit, 1)
    assert [one.is_open for one in (answered, waits, newer, new)] == [True, False, True, True]


def test_an_answer_begins_the_wait_anew() -> None:
    """A client that was answered is not the first to go; one that sends half a head keeps its place."""
    limit = ConnectionLimit(2)
    first, second = opened(limit, 2)
    limit.set_waiting(second, waiting=True)
    limit.set_waiting(first, waiting=False)
    limit.set_waiting(first, waiting=True)
    opened(limit, 1)
    assert (first.is_open, second.is_open) == (True, False)


def test_where_all_are_answered_the_new_one_goes() -> None:
    """Nobody who is being answered is cut off for a newcomer."""
    limit = ConnectionLimit(2)
    answered = opened(limit, 2)
    for one in answered:
        limit.set_waiting(one, waiting=False)
    (new,) = opened(limit, 1)
    assert all(one.is_open for one in answered)
    assert not new.is_open


def test_a_closed_connection_counts_no_more() -> None:
    """It makes room, and what it does afterwards is not noted."""
    limit = ConnectionLimit(2)
    closed, waits = opened(limit, 2)
    limit.remove(closed)
    limit.set_waiting(closed, waiting=True)
    opened(limit, 1)
    assert waits.is_open


def test_a_flood_is_one_line_in_the_log() -> None:
    """It says that there are too many, once, until half of them are gone."""
    limit = ConnectionLimit(2)
    with capture_logs() as lines:
        flood = opened(limit, 100)
        for connection in flood:
            limit.remove(connection)
        opened(limit, 3)
    assert [(line["event"], line["most"]) for line in lines] == [("connections_full", 2)] * 2
