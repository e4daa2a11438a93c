"""A database that does not answer."""

import json
from pathlib import Path

import pytest

from tests.conftest import StartService

pytestmark = pytest.mark.anyio


@pytest.mark.asvs("16.5.2")
async def test_a_database_that_does_not_answer_is_a_503_that_shows_nothing(
    start: StartService, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Readiness and a signed-in request say come back later; liveness goes on; the log has the cause."""
    async with start() as service:
        _, tokens = await service.signed_in()
        await service.app.state.database.close()
        for file in tmp_path.glob("test.db*"):
            file.unlink()
        (tmp_path / "test.db").mkdir()
        for path in ("/readyz", "/api/v1/users/me"):
            answer = await service.client.get(path, headers=tokens.bearer)
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) >= 1
            assert answer.json()["detail"] == "The database does not answer."
        assert (await service.client.get("/livez")).status_code == 200
    events = [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()]
    assert "database_unavailable" in events
