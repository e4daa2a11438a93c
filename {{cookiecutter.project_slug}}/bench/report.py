"""The report of a run: a table in `README.md`, and a chart beside it."""

import platform
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.sax.saxutils import escape

from app.features.accounts.passwords.hasher import usable_cores
from bench.figures import Figure
from bench.servers import POSTGRESQL, SQLITE

BEGIN, END = "<!-- Written by `python -m bench --write`. -->", "<!-- That was written. -->"
CHART = Path("docs", "performance.svg")

_TITLES = {SQLITE: "SQLite", POSTGRESQL: "PostgreSQL and Valkey"}
_COLORS = {SQLITE: "#2f6f9f", POSTGRESQL: "#8a5a9e"}
_WIDTH, _LEFT, _BAR, _GAP, _TOP = 900, 400, 16, 12, 64
_GOAL = 250
"""How long the bar of a goal is."""
_MOST = 1.7


def write(folder: Path, figures: Sequence[Figure]) -> None:
    """Put the table between its marks in `README.md`, and write the chart."""
    readme = folder / "README.md"
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{readme} has no lines {BEGIN} and {END}, between which the table is written."
        raise RuntimeError(message)
    readme.write_text(f"{before}{BEGIN}\n\n{table(figures)}\n\n{END}{after}", encoding="utf-8")
    (folder / CHART).parent.mkdir(exist_ok=True)
    (folder / CHART).write_text(chart(figures), encoding="utf-8")


def table(figures: Iterable[Figure]) -> str:
    """Return the table, in Markdown: a row for each figure, with both databases."""
    lines = [f"| figure | goal | {_TITLES[SQLITE]} | {_TITLES[POSTGRESQL]} |", "|---|---|---|---|"]
    for name, rows in _by_name(figures).items():
        goals = list(dict.fromkeys(row.limit(row.goal) for row in rows.values()))
        cells = [_cell(rows[database]) if database in rows else "" for database in _TITLES]
        lines.append(f"| {name} | {', '.join(goals)} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _machine()])


def chart(figures: Sequence[Figure]) -> str:
    """Return a picture of how much of its goal each figure reaches, as SVG."""
    named = _by_name(figures)
    height = _TOP + sum(len(rows) * _BAR + _GAP for rows in named.values()) + 34
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" font-family="sans-serif">',
        "<title>Performance: how much of its goal each figure reaches</title>",
        "<desc>Written by: uv run python -m bench --write</desc>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="26" font-size="16" fill="#1a1a1a">How much of its goal each figure reaches</text>',
        *_legend(),
        *_bars(named),
        f'<line x1="{_LEFT + _GOAL}" x2="{_LEFT + _GOAL}" y1="{_TOP - 8}" y2="{height - 34}" stroke="#1a1a1a"/>',
        f'<text x="{_LEFT + _GOAL}" y="{_TOP - 14}" text-anchor="middle" font-size="12" fill="#1a1a1a">goal</text>',
        f'<text x="16" y="{height - 12}" font-size="11" fill="#555555">{escape(_machine())}</text>',
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _legend() -> Iterator[str]:
    for number, (database, title) in enumerate(_TITLES.items()):
        x = 16 + number * 90
        yield f'<rect x="{x}" y="38" width="12" height="12" fill="{_COLORS[database]}"/>'
        yield f'<text x="{x + 18}" y="48" font-size="12" fill="#1a1a1a">{title}</text>'


def _bars(named: dict[str, dict[str, Figure]]) -> Iterator[str]:
    y = _TOP
    for name, rows in named.items():
        middle = y + len(rows) * _BAR / 2 + 4
        label = escape(name.replace("`", ""))
        yield f'<text x="{_LEFT - 10}" y="{middle:g}" text-anchor="end" font-size="12" fill="#1a1a1a">{label}</text>'
        for database, figure in rows.items():
            width = _GOAL * min(figure.reached, _MOST)
            value = f"{figure.shown} ({figure.limit(figure.goal)})"
            yield f'<rect x="{_LEFT}" y="{y}" width="{width:.0f}" height="{_BAR - 2}" fill="{_COLORS[database]}"/>'
            yield f'<text x="{_LEFT + width + 6:.0f}" y="{y + 11}" font-size="11" fill="#1a1a1a">{escape(value)}</text>'
            y += _BAR
        y += _GAP


def _by_name(figures: Iterable[Figure]) -> dict[str, dict[str, Figure]]:
    named: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        named.setdefault(figure.name, {})[figure.database] = figure
    return named


def _cell(figure: Figure) -> str:
    missed = "" if figure.reached >= 1 else f", {figure.reached:.0%} of the goal"
    return f"**{figure.shown}**{missed}; {figure.measured}"


def _machine() -> str:
    cores, day = usable_cores(), datetime.now(tz=UTC).date()
    return f"Measured on {day}, on {cores} cores that the client shares, with Python {platform.python_version()}."
