"""The running application as a test sees it: a client, and people who sign in."""

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import httpx2
from fastapi import FastAPI
from pydantic import SecretStr

from app.access.roles import Role
from app.assembly import RETENTION_JOBS
from app.core.database.batches import purge_of
from app.core.database.database import Database
from app.core.services import services_of
from app.features.accounts.service import AccountService

Found = TypeVar("Found")


@dataclass(frozen=True)
class Tokens:
    """What a sign-in gave."""

    access: str
    refresh: str

    @property
    def bearer(self) -> dict[str, str]:
        """The header that carries the access token."""
        return {"Authorization": f"Bearer {self.access}"}


@dataclass(frozen=True)
class Person:
    """Somebody with an account."""

    id: UUID
    email: str
    password: str


class Service:
    """The application with a client that speaks to it over ASGI."""

    def __init__(self, app: FastAPI, client: httpx2.AsyncClient) -> None:
        self.app = app
        self.client = client

    def __getitem__(self, kind: type[Found]) -> Found:
        """A service of the application."""
        return services_of(self.app)[kind]

    async def purge(self, name: str, *, before: datetime, limit: int) -> int:
        """Delete one batch of what `manage purge` deletes under this name, and return how many rows those were."""
        job = next(job for job in RETENTION_JOBS if job.name == name)
        async with self[Database].transaction() as db:
            over = job.over(services_of(self.app), before)
            return await purge_of(self[Database], job.table, over, limit)(db)

    async def person(self, *roles: Role, email: str | None = None, password: str | None = None) -> Person:
        """Give somebody an account; a member unless told otherwise."""
        email = email or f"{secrets.token_hex(6)}@people.example"
        password = password or secrets.token_urlsafe(18)
        user_id = await self[AccountService].create(email, SecretStr(password), roles or [Role.MEMBER])
        return Person(user_id, email, password)

    async def sign_in(self, person: Person, **options: Any) -> Tokens:
        """Sign somebody in over HTTP."""
        answer = await self.try_sign_in(person.email, person.password, **options)
        assert answer.status_code == 200, answer.text
        return tokens_of(answer)

    async def try_sign_in(self, email: str, password: str, **options: Any) -> httpx2.Response:
        """Ask for a sign-in, which may fail."""
        return await self.client.post("/api/v1/signin", json={"email": email, "password": password}, **options)

    async def signed_in(self, *roles: Role) -> tuple[Person, Tokens]:
        """Somebody new who is signed in."""
        person = await self.person(*roles)
        return person, await self.sign_in(person)

    async def refresh(self, refresh_token: str, **form: str) -> httpx2.Response:
        """Ask for new tokens."""
        data = {"grant_type": "refresh_token", "refresh_token": refresh_token, **form}
        return await self.client.post("/oauth/token", data=data)

    async def whoami(self, tokens: Tokens) -> httpx2.Response:
        """Ask who the bearer of the access token is."""
        return await self.client.get("/api/v1/users/me", headers=tokens.bearer)


def tokens_of(answer: httpx2.Response) -> Tokens:
    """The tokens in an answer."""
    body = answer.json()
    return Tokens(body["access_token"], body["refresh_token"])
