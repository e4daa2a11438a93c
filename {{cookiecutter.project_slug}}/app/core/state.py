"""The services of the application, as parameters of handlers."""

from typing import Any

from fastapi import Depends, Request


def from_state(name: str) -> Any:
    """A dependency on what `main.py` has put into `app.state` under this name."""

    async def find(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(find)
