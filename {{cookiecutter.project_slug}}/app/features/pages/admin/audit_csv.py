"""The audit trail as CSV (RFC 4180), safe to be opened with a spreadsheet.

A spreadsheet takes a cell that begins with certain characters for a formula, which can read other cells and send them
away. Such a cell gets an apostrophe in front, which says that it is text (ASVS 1.2.10). So does what would begin a cell
for a program that expects another separator than the comma, and so splits a text of ours in several.
"""

import csv
import io
import re
from collections.abc import AsyncIterator
from typing import Any

import orjson

from app.features.audit.schemas import AuditEventRead

# With the full-width forms, which some programs read as the plain ones.
_FORMULA = "=+@＝＋－＠-"  # noqa: RUF001  # meant
_BEGINS_A_FORMULA = (*_FORMULA, "\t", "\r", "\n")
# After what separates cells somewhere, and the quotes that such a program would read as those of the cell.
_BEGINS_ANOTHER = re.compile(rf"([,;|\s][\"']*)([{_FORMULA}])")

COLUMNS = tuple(AuditEventRead.model_fields)


def cell(value: object) -> str:
    """The value as the text of a cell that nothing calculates."""
    text = "" if value is None else orjson.dumps(value).decode() if isinstance(value, dict) else str(value)
    text = _BEGINS_ANOTHER.sub(r"\1'\2", text)
    return f"'{text}" if text.startswith(_BEGINS_A_FORMULA) else text


def line(cells: Any) -> str:
    """A line of texts: each in quotes, so that a comma, a quote or a line end in one is its own."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerow(cells)
    return out.getvalue()


async def lines(events: AsyncIterator[AuditEventRead]) -> AsyncIterator[str]:
    """The header, and a line for each event."""
    yield line(COLUMNS)
    async for event in events:
        yield line(cell(value) for value in event.model_dump(mode="json").values())
