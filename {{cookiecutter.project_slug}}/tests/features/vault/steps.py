"""What the tests of the vault share."""

import secrets
from base64 import b64encode
from typing import Any

import httpx2

from tests.support.service import Service, Tokens

PATH = "/api/v1/secrets"
MASK = "**********"


async def keep(service: Service, tokens: Tokens, **fields: Any) -> httpx2.Response:
    """Ask the vault to keep a secret."""
    body = {"name": "a name", "secret_string": "a value"} | fields
    return await service.client.post(PATH, json=body, headers=tokens.bearer)


async def kept(service: Service, tokens: Tokens, **fields: Any) -> str:
    """The path of a new secret."""
    answer = await keep(service, tokens, **fields)
    assert answer.status_code == 201, answer.text
    return f"{PATH}/{answer.json()['id']}"


async def reveal(service: Service, tokens: Tokens, path: str) -> httpx2.Response:
    """Ask for the values in clear."""
    return await service.client.post(f"{path}/reveal", headers=tokens.bearer)


def base64(data: bytes) -> str:
    """The data as a client writes it."""
    return b64encode(data).decode()


def canary() -> str:
    """A text that is nowhere else."""
    return f"canary-{secrets.token_hex(16)}"
