"""The delivery of mail, in the background of each process: at-least-once.

A mail that this process added is delivered at once; a query every few seconds finds any other that is due.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import structlog

from app.core.clock import utc_now
from app.core.database.database import Database
from app.core.mail.outbox import MailQueue, Outbox, OutboxMail
from app.core.mail.transport import DeliveryError, MailTransport, PostponedError, RefusedError, UnreachableError

_RANDOM = random.SystemRandom()
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """Times of the delivery, in seconds, and its bounds.

    A new mail waits for a random time up to `settle`: delivered at once, it would slow the requests right behind its
    own, and their time would show who has an account (ASVS 6.3.8). One delivery ends within `deadline`, well before the
    `lease` of its claim. Attempts are `first_retry` apart, then twice that, and so on up to `longest_retry`; while a
    server cannot be reached, up to `longest_pause`, so that mail goes out within ten seconds of its return: that is no
    attempt, and ends after `longest_outage`. The next mail begins after `patience`, beside the slow ones.
    """

    poll: float = 5
    settle: float = 0.5
    deadline: float = 120
    lease: float = 240
    patience: float = 2
    most_at_once: int = 8
    first_retry: float = 5
    longest_retry: float = 1800
    longest_pause: float = 6
    longest_outage: float = 86400
    most_attempts: int = 50
    grace: float = 1

    def backoff(self, failures: int, longest: float) -> float:
        """Return how long to wait after so many failures in a row, with jitter, so that processes spread out."""
        return min(self.first_retry * 2.0 ** min(failures - 1, 32), longest) * _RANDOM.uniform(0.75, 1.25)


class MailDelivery:
    """Drains the outbox while `running`."""

    def __init__(
        self, database: Database, outbox: Outbox, transport: Callable[[], MailTransport], pace: Pace | None = None
    ) -> None:
        self._pace = pace or Pace()
        self.queue = MailQueue(database, self._pace.lease)
        self._outbox = outbox
        self._transport = cache(transport)  # for TLS it reads the system's certificates, so not before it is needed
        self._under_way: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._limits: set[asyncio.Timeout] = set()
        self._failures = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver while the block runs. At its end, mails under way have `grace` seconds to arrive."""
        self._stop.clear()
        run = asyncio.create_task(self._run(), name="mail-delivery")
        try:
            yield
        finally:
            self._stop.set()
            self._outbox.added.set()
            tasks = {run, *self._under_way}
            await asyncio.wait(tasks, timeout=self._pace.grace)
            # Cut off the SMTP dialogues, but no transaction.
            for limit in self._limits:
                if not limit.expired():
                    limit.reschedule(asyncio.get_running_loop().time())
            await asyncio.wait(tasks, timeout=self._pace.grace / 2)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=self._pace.grace / 2)

    async def _run(self) -> None:
        while not self._stop.is_set():
            self._outbox.added.clear()
            # While nothing can be delivered, new mail does not start the next attempt.
            if await self._drain():
                wake, seconds = self._outbox.added, self._pace.poll
            else:
                wake, seconds = self._stop, self._pace.backoff(self._failures, self._pace.longest_pause)
            await _wait(wake, seconds)
            await _wait(self._stop, _RANDOM.uniform(0, self._pace.settle))

    async def _drain(self) -> bool:
        """Deliver until nothing is due; return false if delivery does not work at the moment."""
        try:
            while not self._stop.is_set() and (claimed := await self.queue.claim()):
                if not await self._deliver_beside(claimed):
                    return False
        except Exception as error:
            self._report_outage(error)
            return False
        return True

    async def _deliver_beside(self, claimed: OutboxMail) -> bool:
        """Start a delivery, and wait until the next one may start; return false if the server cannot be reached."""
        task = asyncio.create_task(self._deliver(claimed), name="mail")
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        await asyncio.wait({task}, timeout=self._pace.patience)
        if len(self._under_way) >= self._pace.most_at_once:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        return not (task.done() and self._failures)

    async def _deliver(self, claimed: OutboxMail) -> None:
        problem = await self._attempt(claimed)
        try:
            await self._record(claimed, problem)
        except Exception as error:
            self._report_outage(error)

    def _report_outage(self, error: Exception) -> None:
        self._failures += 1
        # Without the text of the error, which may hold values.
        _log.error("mail_outbox_unavailable", error=type(error).__name__)

    async def _attempt(self, claimed: OutboxMail) -> DeliveryError | None:
        """Deliver within the deadline; return what prevented it. The mail is not lost, whatever that is."""
        if claimed.attempts > self._pace.most_attempts:
            return RefusedError("Abandoned")  # each process that took it died
        try:
            async with asyncio.timeout(self._pace.deadline) as limit:
                self._limits.add(limit)
                await self._transport().deliver(claimed, self._outbox.open(claimed.id, claimed.sealed or b""))
        except DeliveryError as error:
            return error
        except Exception as error:
            return PostponedError(type(error).__name__)
        finally:
            self._limits.discard(limit)
        return None

    async def _record(self, claimed: OutboxMail, problem: DeliveryError | None) -> None:
        unreachable = isinstance(problem, UnreachableError)
        self._failures = self._failures + 1 if unreachable else 0
        is_late = utc_now() - claimed.created_at > timedelta(seconds=self._pace.longest_outage)
        is_last = is_late if unreachable else claimed.attempts >= self._pace.most_attempts
        log = _log.bind(mail_id=claimed.id, attempts=claimed.attempts)
        if problem is None:
            await self.queue.finish(claimed)
            log.info("mail_sent")
        elif self._stop.is_set() and not isinstance(problem, RefusedError):
            await self.queue.released(claimed)
        elif isinstance(problem, RefusedError) or is_last:
            await self.queue.finish(claimed, problem.cause, problem.code)
            log.error("mail_failed", error=problem.cause, smtp_code=problem.code)
        else:
            # Due at once, for whichever process reaches the server first: each of them pauses by itself.
            seconds = 0.0 if unreachable else self._pace.backoff(claimed.attempts, self._pace.longest_retry)
            await self.queue.postponed(claimed, problem.cause, problem.code, seconds, counts=not unreachable)
            log.warning("mail_postponed", error=problem.cause, smtp_code=problem.code, retry_seconds=round(seconds))


async def _wait(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
