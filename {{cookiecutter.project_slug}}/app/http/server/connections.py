"""A bound on the open connections of a process, so that idle clients cannot lock others out (ASVS 15.2.2)."""

from collections import OrderedDict
from typing import Protocol

import structlog

_log = structlog.get_logger("server")


class Connection(Protocol):
    """An open connection."""

    def cut_off(self) -> None:
        """Close the connection at once and drop what was not sent."""


class ConnectionLimit:
    """At most `most` connections. One more closes the connection whose client has been idle the longest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Connection] = set()
        # In the order in which they began to wait for their clients.
        self._waiting: OrderedDict[Connection, None] = OrderedDict()
        self._is_full = False

    def add(self, connection: Connection) -> None:
        """Count a new connection, which waits for its client. It may be closed itself if there are too many."""
        self._open.add(connection)
        self._waiting[connection] = None
        if len(self._open) > self._most:
            if not self._is_full:
                self._is_full = True
                _log.warning("connections_full", most=self._most)
            longest = next(iter(self._waiting))
            self.remove(longest)
            longest.cut_off()

    def set_waiting(self, connection: Connection, *, waiting: bool) -> None:
        """Note whether the connection waits for its client, or the client for the service."""
        if not waiting:
            self._waiting.pop(connection, None)
        elif connection in self._open:
            self._waiting.setdefault(connection)

    def remove(self, connection: Connection) -> None:
        """Remove a connection that is closed."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)
        if len(self._open) <= self._most // 2:
            self._is_full = False
