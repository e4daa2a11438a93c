"""Where a request comes from, as a session keeps it."""

from typing import Annotated, NamedTuple

from fastapi import Depends, Request

from app.http.request.proxies import client_ip_of


class Client(NamedTuple):
    """The address that is believed, and what the client calls itself."""

    ip: str
    user_agent: str


async def _client_of(request: Request) -> Client:
    return Client(ip=client_ip_of(request.scope), user_agent=request.headers.get("User-Agent", ""))


RequestClient = Annotated[Client, Depends(_client_of)]
"""The client as a parameter of a handler."""
