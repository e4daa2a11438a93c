"""The limit of secrets where PgBouncer gives the connection to somebody else after each transaction."""

import asyncio

import pytest

from tests.conftest import StartService

pytestmark = pytest.mark.anyio


async def test_a_limit_that_takes_a_lock_holds_behind_it(start: StartService, pooled_url: str) -> None:
    """Twelve secrets at once where three are allowed: the lock is the transaction's, and three are kept."""
    async with start(database_url=pooled_url, items_per_user=3) as service:
        _, tokens = await service.signed_in()
        answers = await asyncio.gather(
            *(
                service.client.post(
                    "/api/v1/secrets", json={"name": f"name {number}", "secret_string": "x"}, headers=tokens.bearer
                )
                for number in range(12)
            )
        )
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [409] * 9
