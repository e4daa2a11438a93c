"""A bound on the open connections of a process, so that idle clients cannot keep the others out (ASVS 15.2.2)."""

from collections import OrderedDict
from typing import Protocol

import structlog

_log = structlog.get_logger("server")


class Connection(Protocol):
    """An open connection."""

    def cut_off(self) -> None:
        """Close it at once, whatever is still to be sent."""


class ConnectionLimit:
    """At most `most` connections. One more cuts off the one that has let the service wait the longest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: set[Connection] = set()
        # In the order in which they began to wait for their clients.
        self._waiting: OrderedDict[Connection, None] = OrderedDict()
        self._is_full = False

    def add(self, connection: Connection) -> None:
        """Count a new connection, which waits for its client. If there are too many, it may be cut off itself."""
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
        """Note whether a connection waits for its client, or the client for the service."""
        if connection not in self._open:
            return
        if waiting:
            self._waiting.setdefault(connection)
        else:
            self._waiting.pop(connection, None)

    def remove(self, connection: Connection) -> None:
        """Count it no more."""
        self._open.discard(connection)
        self._waiting.pop(connection, None)
        if len(self._open) <= self._most // 2:
            self._is_full = False
