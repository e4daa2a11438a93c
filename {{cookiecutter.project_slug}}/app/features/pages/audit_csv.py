"""The audit trail as CSV (RFC 4180), safe to be opened with a spreadsheet.

A spreadsheet takes a cell that begins with certain characters for a formula, which can read other cells and send them
away. Such a cell gets an apostrophe in front, which says that it is text (ASVS 1.2.10).
"""

import csv
import io
from collections.abc import AsyncIterator
from typing import Any

import orjson

from app.features.audit.schemas import AuditAnswer

# With a line end and the full-width forms, which some programs read as the plain ones.
_BEGINS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001  # meant

COLUMNS = tuple(AuditAnswer.model_fields)


def cell(value: object) -> str:
    """The value as the text of a cell that nothing calculates."""
    text = "" if value is None else orjson.dumps(value).decode() if isinstance(value, dict) else str(value)
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text


def line(cells: Any) -> str:
    """A line of texts: each in quotes, so that a comma, a quote or a line end in one is its own."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


async def lines(events: AsyncIterator[AuditAnswer]) -> AsyncIterator[str]:
    """The header, and a line for each event."""
    yield line(COLUMNS)
    async for event in events:
        yield line(cell(value) for value in event.model_dump(mode="json").values())
