"""Hash passwords: argon2id at OWASP's parameters (ASVS 11.4.2), in a bounded pool (ASVS 15.2.2)."""

import asyncio
import os
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypeVar

from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import Field, SecretStr

from app.core.errors import Unavailable
from app.core.events import emit_event
from app.features.accounts.events import AccountEvent
from app.features.accounts.passwords.text import normalized

SHORTEST_PASSWORD = 15
LONGEST_PASSWORD = 128

NewPassword = Annotated[SecretStr, Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]
"""A password that is being set: 15 to 128 characters of any kind (NIST SP 800-63B-4, ASVS 6.2.1, 6.2.9)."""

GivenPassword = Annotated[SecretStr, Field(min_length=1, max_length=1024)]
"""A password that is being checked. The bound limits the work."""

OWASP_ARGON2ID = Argon2Hasher(memory_cost=19456, time_cost=2, parallelism=1)
_GROUP = 16  # sign-ins

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class AcceptedPassword:
    """A password that may be set, in the form that is hashed. Only `PasswordPolicy.check` makes one."""

    normalized: SecretStr


class Verification(NamedTuple):
    """Whether a password is right, and a new hash if the stored one has weaker parameters."""

    valid: bool
    new_hash: str | None = None


class HashingPool:
    """Threads that hash (19 MiB, tens of milliseconds): one a core, below the priority of the event loop."""

    def __init__(self, queue_length: int) -> None:
        self._workers = usable_cores()
        self._queue_length = queue_length
        self._under_way = 0
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="argon2", initializer=_lower_priority)
        self._hashed: deque[asyncio.Future[None]] = deque()
        self._going_on = False

    @property
    def waiting(self) -> int:
        """How many wait for a thread."""
        return max(0, self._under_way - self._workers)

    async def run(self, work: Callable[[], _Result]) -> _Result:
        """Return the result of the work; raises what it raises, and `Unavailable` if too many wait."""
        waiting = self._under_way - self._workers
        if waiting >= self._queue_length:
            emit_event(AccountEvent.HASHING_SHED, outcome="denied", waiting=waiting)
            raise Unavailable("Too many sign-ins at once. Try again in a few seconds.", retry_after=5)
        self._under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._under_way -= 1
            await self._go_on_with_others()

    async def _go_on_with_others(self) -> None:
        """While many wait, go on in groups: what one brings into the processor's caches serves the next."""
        loop = asyncio.get_running_loop()
        self._hashed.append(turn := loop.create_future())
        if not self._going_on and len(self._hashed) > min(self.waiting, _GROUP - 1):
            self._going_on = True
            loop.call_soon(self._next_turn)
        await turn

    def _next_turn(self) -> None:
        """Let one go on in each turn of the event loop, so that other requests are served in between."""
        self._going_on = bool(self._hashed)
        if self._going_on:
            if not (turn := self._hashed.popleft()).done():
                turn.set_result(None)
            asyncio.get_running_loop().call_soon(self._next_turn)

    async def close(self) -> None:
        """Let the threads go; work that has not begun is cancelled."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class PasswordHasher:
    """Hashes and verifies passwords in a bounded pool, at OWASP's parameters unless told otherwise."""

    def __init__(self, hasher: Argon2Hasher | None = None, queue_length: int = 100) -> None:
        self._hasher = hasher or OWASP_ARGON2ID
        self.pool = HashingPool(queue_length)
        # For accounts without a password, so that timing does not reveal which accounts exist.
        self._dummy = self._hasher.hash("nobody has this password")

    async def hash(self, password: AcceptedPassword) -> str:
        """Return the hash to store; raises `Unavailable` if too many wait."""
        return await self.pool.run(lambda: self._hasher.hash(password.normalized.get_secret_value()))

    async def verify(self, password: SecretStr, stored: str | None) -> Verification:
        """Check a password; without a stored hash, it takes as long, and is wrong. Raises `Unavailable` as `hash`."""
        verification = await self.pool.run(
            lambda: self._verify(normalized(password.get_secret_value()), stored or self._dummy)
        )
        return verification if stored else Verification(valid=False)

    def _verify(self, password: str, stored: str) -> Verification:
        if not self._hasher.verify(password, stored):
            return Verification(valid=False)
        weaker = self._hasher.check_needs_rehash(stored)
        return Verification(valid=True, new_hash=self._hasher.hash(password) if weaker else None)


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _lower_priority() -> None:
    """Let the event loop go first: on Linux, niceness belongs to a thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
