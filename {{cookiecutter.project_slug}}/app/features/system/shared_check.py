"""A check that costs the same however many ask: who asks while it runs waits for that run."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context


class SharedCheck:
    """Runs a check once for all who ask meanwhile; what has passed counts as passed for `seconds` more.

    A failure is not kept: the next one who asks sees whether it is over.
    """

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
            # In no context: it is nobody's request. Shielded: who goes away takes it from nobody else.
            self._running = loop.create_task(self._run(), context=Context())
        await asyncio.shield(self._running)

    async def _run(self) -> None:
        await self._check()
        self._good_until = asyncio.get_running_loop().time() + self._seconds
