"""A check that concurrent callers share: a caller waits for the run that is under way."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context


class SharedCheck:
    """Runs a check once for all concurrent callers, and repeats a success for `seconds`; a failure is not repeated."""

    def __init__(self, check: Callable[[], Awaitable[object]], *, seconds: float) -> None:
        self._check = check
        self._seconds = seconds
        self._running: asyncio.Task[None] | None = None
        self._good_until = 0.0

    async def __call__(self) -> None:
        """Return if the check passes; raises what it raises."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._good_until:
            return
        if self._running is None or self._running.done():
            # In no context: it belongs to no request. Shielded: a caller that is cancelled does not end it for others.
            self._running = loop.create_task(self._run(), context=Context())
        await asyncio.shield(self._running)

    async def _run(self) -> None:
        await self._check()
        self._good_until = asyncio.get_running_loop().time() + self._seconds
