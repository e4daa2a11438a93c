"""What the tests of the API keys share."""

import secrets
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

import httpx2

from tests.support.service import Service, Tokens

PATH = "/api/v1/api-keys"
SCOPES = ["account:read", "account:write"]
START = datetime(2026, 7, 1, 12, tzinfo=UTC)


def bearer(key: str) -> dict[str, str]:
    """The header that carries a key."""
    return {"Authorization": f"Bearer {key}"}


def wrongly(key: str) -> str:
    """A key of the same row that was never given out; its checksum is right."""
    body = bytes.fromhex(key[3:-8])[:16] + secrets.token_bytes(32)
    return f"ak_{body.hex()}{crc32(body):08x}"


async def create(service: Service, tokens: Tokens, **fields: Any) -> httpx2.Response:
    """Ask for a key."""
    body = {"name": "backup", "scopes": SCOPES} | fields
    return await service.client.post(PATH, json=body, headers=tokens.bearer)


async def created(service: Service, tokens: Tokens, **fields: Any) -> dict[str, Any]:
    """A new key, as the answer shows it."""
    answer = await create(service, tokens, **fields)
    assert answer.status_code == 201, answer.text
    key: dict[str, Any] = answer.json()
    return key


async def rotate(service: Service, tokens: Tokens, key_id: str, **fields: Any) -> httpx2.Response:
    """Ask for the successor of a key."""
    return await service.client.post(f"{PATH}/{key_id}/rotate", json=fields, headers=tokens.bearer)


async def report(service: Service, key: str) -> httpx2.Response:
    """Report a text as a key that leaked."""
    return await service.client.post(f"{PATH}/leaked", json={"key": key})


async def listed(service: Service, tokens: Tokens) -> list[dict[str, Any]]:
    """The keys of the bearer, newest first."""
    items: list[dict[str, Any]] = (await service.client.get(PATH, headers=tokens.bearer)).json()["items"]
    return items


async def opens(service: Service, key: str) -> int:
    """The status of a request that reads the own account with a key."""
    return (await service.client.get("/api/v1/users/me", headers=bearer(key))).status_code
