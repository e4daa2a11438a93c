"""Who may call what: the table of all routes, and each of them asked by everybody."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
import time_machine

from app.access.guard import route_policies
from app.access.policies import ClientOrUser, Policy, Recent
from app.access.roles import Role
from app.commands.routes import ASKERS, HEADER, ROLES_HEADER, lines_of, may_call, table_of
from app.features.installed import FEATURES as INSTALLED
from tests.conftest import StartService
from tests.support.access import ROLES
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio

FEATURES = Path(__file__).parents[1] / "features"


def may(policy: Policy, asker: Role | None) -> bool:
    """What the policy says about an asker, by the tables alone."""
    return may_call(policy, asker, ROLES)


async def cookie_of(service: Service, role: Role) -> dict[str, str]:
    """The cookie of somebody else with the role: pages take it alone. Empty where there are no pages."""
    person = await service.person(role)
    form = {"email": person.email, "password": person.password}
    answer = await service.client.post("/login", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    service.client.cookies.clear()
    return {"Cookie": answer.headers["Set-Cookie"].partition(";")[0]} if answer.status_code == 303 else {}


def recorded(request: pytest.FixtureRequest, name: str, header: str, found: dict[str, list[str]]) -> list[str]:
    """Compare the tables of the features with those on record: a line for each difference; `--update` leaves none."""
    tables = {FEATURES / feature / name: lines for feature, lines in found.items() if lines}
    if request.config.getoption("--update"):
        for path, lines in tables.items():
            path.write_text("\n".join([header, *lines, ""]), encoding="utf-8")
    kept = {path: path.read_text(encoding="utf-8").splitlines()[1:] for path in FEATURES.glob(f"*/{name}")}
    pairs = [(path, tables.get(path, []), kept.get(path, [])) for path in sorted({*tables, *kept})]
    missing = [
        f"{path.parent.name}/{name} has no  {line}" for path, now, then in pairs for line in now if line not in then
    ]
    return missing + [
        f"{path.parent.name}/{name} has still {line}" for path, now, then in pairs for line in then if line not in now
    ]


HINT = "\nIf that is meant: uv run pytest --update tests/access/test_routes.py"


@pytest.mark.asvs("8.1.1", "8.2.1")
async def test_the_routes_are_those_on_record(start: StartService, request: pytest.FixtureRequest) -> None:
    """A change of access shows as a change of the `routes.txt` of a feature."""
    async with start(environment="production") as service:
        changed = recorded(request, "routes.txt", HEADER, table_of(service.app))
    assert not changed, "\n".join(changed) + HINT


@pytest.mark.asvs("8.1.1")
def test_the_roles_are_those_on_record(request: pytest.FixtureRequest) -> None:
    """A change of what a role may do shows as a change of the `roles.txt` of a feature."""
    changed = recorded(request, "roles.txt", ROLES_HEADER, {each.name: lines_of(each.grants) for each in INSTALLED})
    assert not changed, "\n".join(changed) + HINT


@pytest.mark.asvs("8.2.1", "14.3.2")
@pytest.mark.parametrize("asker", ASKERS, ids=str)
async def test_every_method_of_every_path_is_asked_by_everybody(service: Service, asker: Role | None) -> None:
    """401 for whoever is nobody, 403 for whoever may not, neither for whoever may; and no answer is cached."""
    for method, path, policy in route_policies(service.app):
        # What no server may believe; and where the forms of its own pages come from.
        headers = {"X-Role": "admin", "X-User-ID": str(uuid4()), "Sec-Fetch-Site": "same-origin"}
        if asker is not None:
            _, tokens = await service.signed_in(asker)
            headers |= tokens.bearer | await cookie_of(service, asker)
        target = re.sub(r"\{\w+\}", str(uuid4()), path)
        # Who asks there may say so in the form, so that the form is read first.
        form = {"token_type_hint": "none"} if isinstance(policy, ClientOrUser) else None
        answer = await service.client.request(method, target, headers=headers, data=form)
        if may(policy, asker):
            # Signing in without a body is no question of access.
            assert answer.status_code not in {401, 403}, (method, path)
        else:
            assert answer.status_code == (401 if asker is None else 403), (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Authorization" in answer.headers["Vary"]


@pytest.mark.asvs("7.5.1", "7.5.2", "7.5.3")
async def test_an_old_sign_in_is_not_enough_where_a_recent_one_is_asked_for(start: StartService) -> None:
    """On every such route an administrator is challenged after a quarter of an hour (RFC 9470), and gets in before."""
    with time_machine.travel(datetime(2026, 7, 1, tzinfo=UTC), tick=True) as clock:
        async with start() as service:
            _, admin = await service.signed_in(Role.ADMIN)
            cookie = await cookie_of(service, Role.ADMIN)
            recent = [line for line in route_policies(service.app) if isinstance(line[2], Recent)]
            for minutes, refused in ((14, False), (16, True)):
                clock.move_to(datetime(2026, 7, 1, tzinfo=UTC) + timedelta(minutes=minutes))
                fresh = await service.refresh(admin.refresh)
                admin = tokens_of(fresh)
                headers = admin.bearer | cookie | {"Sec-Fetch-Site": "same-origin"}
                for method, path, _policy in recent:
                    target = re.sub(r"\{\w+\}", str(uuid4()), path)
                    answer = await service.client.request(method, target, headers=headers)
                    assert (answer.status_code == 401) == refused, (method, path, minutes)
                    challenge = 'error="insufficient_user_authentication", max_age=900'
                    assert (challenge in answer.headers.get("WWW-Authenticate", "")) == refused


async def test_the_policy_comes_before_the_body(service: Service) -> None:
    """Who may not call a route cannot make it parse anything: no 4xx of the body is seen."""
    _, tokens = await service.signed_in()
    for headers, status in (({}, 401), (tokens.bearer, 403)):
        answer = await service.client.put(
            f"/api/v1/users/{uuid4()}/roles", content=b"{" * 1000, headers={"Content-Type": "text/plain", **headers}
        )
        assert answer.status_code == status


@pytest.mark.asvs("13.4.5", "13.4.1")
async def test_the_description_of_the_api_is_guarded_in_production(start: StartService) -> None:
    """Open while developing; in production for `docs:read` alone."""
    async with start() as service:
        assert (await service.client.get("/openapi.json")).status_code == 200
    async with start(environment="production") as service:
        assert (await service.client.get("/openapi.json")).status_code == 401
        _, member = await service.signed_in()
        assert (await service.client.get("/openapi.json", headers=member.bearer)).status_code == 403
        _, admin = await service.signed_in(Role.ADMIN)
        assert (await service.client.get("/openapi.json", headers=admin.bearer)).status_code == 200
        for path in ("/redoc", "/metrics", "/.env", "/.git/config"):
            assert (await service.client.get(path)).status_code == 404
