"""Every table before and after something that may change nothing.

Two things may move, for neither is what somebody wanted to change. `sessions.last_seen_at` says that a session is in
use, at most once a minute: sessions that idle end (ASVS 7.3.1). The audit trail says that somebody was refused (ASVS
16.3.2), or took a copy of their own data: it may grow by these, and by nothing else.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, inspect, text

from app.core.database.database import Database
from tests.support.service import Service

TRAIL, TRAIL_END = "audit_events", "audit_heads"
MOVES = {"sessions": "last_seen_at"}
Tables = dict[str, list[str]]


async def tables_of(service: Service) -> Tables:
    """What is in the database."""
    async with service[Database].read() as db:
        found: Tables = await (await db.connection()).run_sync(_tables)
    return found


def assert_unchanged(before: Tables, after: Tables, what: object) -> None:
    """Nothing but refusals and copies of own data on record."""
    changed = {table for table in after if before[table] != after[table]}
    assert changed <= {TRAIL, TRAIL_END}, (what, changed)
    assert set(before[TRAIL]) <= set(after[TRAIL])
    for row in set(after[TRAIL]) - set(before[TRAIL]):
        assert "'outcome': 'denied'" in row or "'action': 'data_exported'" in row, (what, row)


def _tables(connection: Connection) -> Tables:
    """Every row of every table, whatever the service knows of them."""
    found = {}
    for table in inspect(connection).get_table_names():
        rows = connection.execute(text(f'SELECT * FROM "{table}"')).mappings()  # noqa: S608  # the database's own name
        found[table] = sorted(_text(row, without=MOVES.get(table)) for row in rows)
    return found


def _text(row: Mapping[Any, Any], *, without: str | None) -> str:
    return repr({name: value for name, value in row.items() if name != without})
