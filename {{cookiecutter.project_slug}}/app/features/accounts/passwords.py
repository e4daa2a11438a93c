"""Passwords: argon2id at OWASP's parameters, in a pool that a flood cannot grow (ASVS 11.4.2, 15.2.2).

Hashing takes 19 MiB and a core for tens of milliseconds. No more run at once than there are cores, in threads that
yield to the event loop; the others wait in a queue, and beyond it the answer is 503.
"""

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Annotated, NamedTuple, TypeVar

from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import Field, SecretStr

from app.core.errors import Unavailable
from app.core.security_events import SecurityEvent, security_event
from app.features.accounts.password_text import normalized

SHORTEST_PASSWORD = 15
LONGEST_PASSWORD = 128

NewPassword = Annotated[SecretStr, Field(min_length=SHORTEST_PASSWORD, max_length=LONGEST_PASSWORD)]
"""A password that is being set: 15 to 128 characters of any kind (NIST SP 800-63B-4, ASVS 6.2.1, 6.2.9)."""

GivenPassword = Annotated[SecretStr, Field(min_length=1, max_length=1024)]
"""A password that is being checked. Its bound is only there to bound the work."""

OWASP_ARGON2ID = Argon2Hasher(memory_cost=19456, time_cost=2, parallelism=1)
_QUEUE_LENGTH = 100
_RETRY_AFTER_SECONDS = 5
_NICENESS = 10

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class AcceptedPassword:
    """A password that may be set, in the form that is hashed. Only `PasswordPolicy.check` makes one."""

    normalized: SecretStr


class Verification(NamedTuple):
    """Whether a password is right, and a new hash where the stored one is of weaker parameters."""

    valid: bool
    new_hash: str | None = None


class PasswordHasher:
    """Hashes and verifies passwords in a bounded pool, at OWASP's parameters unless told otherwise."""

    def __init__(self, hasher: Argon2Hasher | None = None, queue_length: int = _QUEUE_LENGTH) -> None:
        self._hasher = hasher or OWASP_ARGON2ID
        self._workers = usable_cores()
        self._longest_queue = self._workers + queue_length
        self._pending = 0
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="argon2", initializer=_yield_to_others)
        # What an account without a password is checked against, so that it takes as long as any other.
        self._nobody = _nobodys_hash(self._hasher)

    async def hash(self, password: AcceptedPassword) -> str:
        """The hash to store; raises `Unavailable` where too many wait."""
        return await self._run(lambda: self._hasher.hash(password.normalized.get_secret_value()))

    async def verify(self, password: SecretStr, stored: str | None) -> Verification:
        """Check a password; without a stored hash it takes as long, and is wrong. Raises `Unavailable` as `hash`."""
        verification = await self._run(
            lambda: self._verify(normalized(password.get_secret_value()), stored or self._nobody)
        )
        return verification if stored else Verification(valid=False)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        if self._pending >= self._longest_queue:
            security_event(SecurityEvent.HASHING_SHED, outcome="denied", waiting=self._pending)
            message = "Too many sign-ins at once. Try again in a few seconds."
            raise Unavailable(message, retry_after=_RETRY_AFTER_SECONDS)
        self._pending += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._pending -= 1

    def _verify(self, password: str, stored: str) -> Verification:
        if not self._hasher.verify(password, stored):
            return Verification(valid=False)
        weaker = self._hasher.check_needs_rehash(stored)
        return Verification(valid=True, new_hash=self._hasher.hash(password) if weaker else None)

    def close(self) -> None:
        """Let the pool go."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@cache
def _nobodys_hash(hasher: Argon2Hasher) -> str:
    return hasher.hash("nobody has this password")


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def _yield_to_others() -> None:
    """Let the event loop go first: on Linux, niceness belongs to a thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
