"""Replicas whose clocks are some seconds apart: what one of them issues, the others take, and nothing lives longer.

The clock of the process is moved instead: the service before and after that stands in for two replicas.
"""

from collections.abc import Iterator
from datetime import timedelta

import pytest
import time_machine

from app.core.clock import utc_now
from app.core.settings.model import Settings
from tests.support.api.oauth import machine_token, register_machine
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
LEEWAY = 10 * SECOND
AHEAD = [0.4 * SECOND, 2.5 * SECOND, LEEWAY]


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """The clock of the replica that answers, which stands still until a test moves it."""
    with time_machine.travel(utc_now().replace(microsecond=700_000), tick=False) as traveller:
        yield traveller


@pytest.mark.asvs("9.2.1")
@pytest.mark.parametrize("ahead", AHEAD, ids=str)
async def test_a_replica_that_is_behind_takes_new_tokens(
    service: Service, clock: time_machine.Traveller, ahead: timedelta
) -> None:
    """Of a sign-in, a refresh, and a client that acts for itself: the session and the user are there already."""
    here = utc_now()
    machine = await register_machine(service)
    clock.move_to(here + ahead)
    _, tokens = await service.signed_in()
    job = await machine_token(service, machine)
    clock.move_to(here)
    assert (await service.whoami(tokens)).status_code == 200
    assert (await service.whoami(job)).status_code == 200
    renewed = await service.refresh(tokens.refresh)
    assert renewed.status_code == 200
    clock.move_to(here - ahead)
    assert (await service.whoami(tokens_of(renewed))).status_code == 200


@pytest.mark.asvs("9.2.1")
async def test_a_token_of_the_far_future_is_refused(service: Service, clock: time_machine.Traveller) -> None:
    """The leeway is seconds: a clock that is a minute ahead is a fault to be seen."""
    here = utc_now()
    clock.move_to(here + LEEWAY + SECOND)
    _, tokens = await service.signed_in()
    clock.move_to(here)
    assert (await service.whoami(tokens)).status_code == 401


@pytest.mark.asvs("9.2.1")
async def test_the_leeway_makes_no_token_live_longer(service: Service, clock: time_machine.Traveller) -> None:
    """It ends when its lifetime has passed, to the second; a job's session with it."""
    here = utc_now()
    lifetime = timedelta(minutes=service[Settings].access_token_minutes)
    machine = await register_machine(service)
    _, tokens = await service.signed_in()
    job = await machine_token(service, machine)
    clock.move_to(here + lifetime - SECOND)
    assert [(await service.whoami(one)).status_code for one in (tokens, job)] == [200, 200]
    clock.move_to(here + lifetime)
    assert [(await service.whoami(one)).status_code for one in (tokens, job)] == [401, 401]
