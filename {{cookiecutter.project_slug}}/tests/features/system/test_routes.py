"""Health and service information."""

import pytest

from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def test_livez_and_readyz_answer_without_signing_in(service: Service) -> None:
    """An orchestrator asks without credentials."""
    for path in ("/livez", "/readyz"):
        answer = await service.client.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


async def test_info_shows_exactly_the_three_settings_to_a_member(service: Service) -> None:
    """The settings example of the contract, and nothing else of the settings."""
    _, tokens = await service.signed_in()
    answer = await service.client.get("/api/v1/info", headers=tokens.bearer)
    settings = service.app.state.settings
    assert answer.json() == {
        "app_name": settings.app_name,
        "admin_email": settings.admin_email,
        "items_per_user": settings.items_per_user,
    }
