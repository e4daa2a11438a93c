"""`python -m bench.trail URL`: what the audit trail costs those who write to PostgreSQL at once.

Four writers in each of four processes run the transaction of a sign-in, three rows and an event, on an empty database,
as the service does. By turns: the event is a row of no chain, of a trail of one shard, of the trail as it is.
"""

import argparse
import asyncio
import logging
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import structlog
from pydantic import SecretStr
from sqlalchemy import Connection, text

from app.core.crypto import KeyRing
from app.core.database.database import Database
from app.core.database.migrations import upgrade
from app.core.events import EventRecord, emit_event
from app.core.settings.database_url import database_dsn
from app.features.accounts.events import AccountEvent
from app.features.audit.models import SHARDS
from app.features.audit.service import Verification
from app.features.audit.trail.append import Appender
from app.features.audit.trail.recorder import Recorder

WRITERS = 4
NO_CHAIN = 0
_WORK = text("INSERT INTO bench_rows (content) VALUES (:content)")
_TABLE = "CREATE TABLE IF NOT EXISTS bench_rows (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, content text)"


def main() -> int:
    """Measure and report."""
    parser = argparse.ArgumentParser(prog="python -m bench.trail", description="Measure what the audit trail costs.")
    parser.add_argument("url", help="an empty database on PostgreSQL, which rows are written to")
    parser.add_argument("--seconds", type=float, default=5, help="how long each measurement takes (default: 5)")
    parser.add_argument("--rounds", type=int, default=3, help="how often what is compared takes turns (default: 3)")
    parser.add_argument("--processes", type=int, default=4, help="how many have four writers each (default: 4)")
    parser.add_argument("--write", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    key = SecretStr(sys.stdin.read() if arguments.write is not None else secrets.token_urlsafe(64))
    url = SecretStr(database_dsn(arguments.url))
    if arguments.write is not None:
        logging.disable()
        structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
        print(asyncio.run(_write(url, key, arguments.write, arguments.seconds)))
        return 0
    asyncio.run(_prepare(url))
    rates: dict[int, list[float]] = {NO_CHAIN: [], 1: [], SHARDS: []}
    for _ in range(arguments.rounds):
        for shards, measured in rates.items():
            measured.append(_measure(arguments.url, key, shards, arguments.seconds, arguments.processes))
        print("  ".join(f"{measured[-1]:8.0f}/s" for measured in rates.values()), flush=True)
    for shards in (1, SHARDS):
        ratios = [ours / without for ours, without in zip(rates[shards], rates[NO_CHAIN], strict=True)]
        print(f"{shards} shard{'s' if shards > 1 else ''}: {statistics.median(ratios):.2f} x the rate without a chain")
    report = asyncio.run(_verify(url, key))
    print(report)
    return 1 if "rows, all" not in report else 0


def _measure(url: str, key: SecretStr, shards: int, seconds: float, count: int) -> float:
    """Return how many transactions a second all processes had committed."""
    command = [sys.executable, "-m", "bench.trail", url, "--seconds", str(seconds), "--write", str(shards)]
    folder = Path(__file__).resolve().parents[1]
    processes = [
        subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    total = 0.0
    for process in processes:
        # Before the first begins to measure, all have started: they wait for their key.
        assert process.stdin is not None  # noqa: S101  # for the type checker
        process.stdin.write(key.get_secret_value())
        process.stdin.close()
    for process in processes:
        assert process.stdout is not None  # noqa: S101  # for the type checker
        total += float(process.stdout.read())
        process.stdout.close()
        if process.wait():
            raise RuntimeError("a writer failed")
    return total


async def _prepare(url: SecretStr) -> None:
    await upgrade(url)
    database = Database(url)
    async with database.transaction() as db:
        await db.execute(text(_TABLE))
    await database.close()


async def _verify(url: SecretStr, key: SecretStr) -> str:
    database = Database(url)
    verification = Verification(database, KeyRing(key))
    await verification.begin()
    report = await verification.run()
    await database.close()
    return str(report.flaw) if report.flaw else f"{report.rows} rows, all in order"


async def _write(url: SecretStr, key: SecretStr, shards: int, seconds: float) -> float:
    """Return how many transactions a second the writers of this process have committed."""
    database = Database(url)
    appender = Appender(KeyRing(key), shards=shards or 1)
    recorder = Recorder(database, appender)
    database.record_events_with = recorder.record_within if shards else _record_without_a_chain
    await asyncio.gather(*(database.run_in_transaction(_sign_in) for _ in range(WRITERS)))  # warm up
    begin = time.perf_counter()
    counts = await asyncio.gather(*(_write_until(database, begin + seconds) for _ in range(WRITERS)))
    rate = sum(counts) / (time.perf_counter() - begin)
    await recorder.close()
    await database.close()
    return rate


async def _write_until(database: Database, end: float) -> int:
    count = 0
    while time.perf_counter() < end:
        await database.run_in_transaction(_sign_in)
        count += 1
    return count


def _sign_in(connection: Connection) -> None:
    for _ in range(3):
        connection.execute(_WORK, {"content": "x" * 200})
    emit_event(AccountEvent.ACCOUNT_DELETED, outcome="success", number=1)


def _record_without_a_chain(connection: Connection, event_records: Sequence[EventRecord]) -> None:
    for event_record in event_records:
        connection.execute(_WORK, {"content": f"{event_record.action}{'x' * 400}"})


if __name__ == "__main__":
    sys.exit(main())
