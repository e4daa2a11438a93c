"""A role that demands a second factor: without one, an account can add it and sign out, and nothing else."""

import secrets

import pytest
from pydantic import ValidationError

from app.access.guard import route_policies
from app.access.roles import Role
from app.features.accounts.service import AccountSettings
from tests.conftest import MakeSettings, StartService
from tests.features.factors.steps import FACTORS, begin, enrol, sign_in_with_app
from tests.support.service import Service, tokens_of

pytestmark = pytest.mark.anyio

DEMANDED = {"require_second_factor_for": "admin"}
ENROLS = {
    ("GET", "/api/v1/users/me/factors"),
    ("POST", "/api/v1/users/me/factors"),
    ("DELETE", "/api/v1/users/me/factors/{factor_id}"),
    ("POST", "/oauth/revoke"),
    ("GET", "/confirm"),
    ("POST", "/confirm"),
    ("GET", "/account/factors"),
    ("GET", "/account/factors/add/{kind}"),
    ("POST", "/account/factors/add/{kind}"),
    ("POST", "/account/factors/add/{kind}/confirm"),
    ("POST", "/account/factors/codes"),
    ("POST", "/account/factors/{factor_id}/remove"),
}


@pytest.mark.asvs("6.3.3")
async def test_every_other_operation_of_the_api_is_refused(start: StartService) -> None:
    """Each answers 403 with the reason, whatever the role allows; the token has no scope but that of the account."""
    async with start(**DEMANDED) as service:
        _, tokens = await service.signed_in(Role.ADMIN)
        answers = {}
        for method, path, policy in route_policies(service.app):
            if policy.needs_principal and path.startswith("/api/"):
                url = path.replace("{", "").replace("}", "")
                answer = await service.client.request(method, url, headers=tokens.bearer)
                answers[method, path] = answer.status_code, answer.json().get("detail")
        refused = (403, "Your role demands a second factor. Add one to your account first.")
        assert {place for place, answer in answers.items() if answer != refused} == {
            place for place in ENROLS if place[1].startswith("/api/")
        }


async def test_who_may_go_before_a_factor_is_one_table(service: Service) -> None:
    """A new operation is refused unless its policy says otherwise."""
    policies = {(method, path): policy for method, path, policy in route_policies(service.app)}
    has_pages = ("GET", "/login") in policies
    expected = {place for place in ENROLS if has_pages or place[1].startswith(("/api/", "/oauth/"))}
    assert {place for place, policy in policies.items() if policy.enrols} == expected


@pytest.mark.asvs("6.3.3", "10.3.4")
async def test_adding_a_factor_gives_the_session_its_rights(start: StartService) -> None:
    """At once for the same token where the scope allows, and in full after a refresh; a new sign-in takes both."""
    async with start(**DEMANDED) as service:
        person, tokens = await service.signed_in(Role.ADMIN)
        look = await service.client.post("/oauth/introspect", data={"token": tokens.access}, headers=tokens.bearer)
        assert look.status_code == 403
        enrolled = await enrol(service, person, tokens)
        assert (await service.whoami(tokens)).status_code == 200
        renewed = tokens_of(await service.refresh(tokens.refresh))
        assert (await service.client.get("/api/v1/users", headers=renewed.bearer)).status_code == 200
        again = await sign_in_with_app(service, enrolled)
        assert (await service.client.get("/api/v1/users", headers=again.bearer)).status_code == 200
        look = await service.client.post("/oauth/introspect", data={"token": again.access}, headers=again.bearer)
        assert (look.json()["amr"], look.json()["acr"]) == (["pwd", "otp", "mfa"], "aal2")


@pytest.mark.asvs("6.5.6")
async def test_the_last_factor_stays_and_the_user_can_sign_out(start: StartService) -> None:
    """Removing it is a conflict; revoking the token ends a session that may do nothing else."""
    async with start(**DEMANDED) as service:
        person, tokens = await service.signed_in(Role.ADMIN)
        out = await service.sign_in(person)
        assert (await service.client.post("/oauth/revoke", data={"token": out.access}, headers=out.bearer)).is_success
        assert (await service.client.get(FACTORS, headers=out.bearer)).status_code == 401
        enrolled = await enrol(service, person, tokens)
        removal = await service.client.delete(f"{FACTORS}/{enrolled.factor_id}", headers=tokens.bearer)
        assert removal.status_code == 409


@pytest.mark.asvs("6.3.4")
async def test_no_grant_is_a_way_around(start: StartService) -> None:
    """The password grant refuses an account that needs a factor, and one that has one; a member without goes on."""
    async with start(**DEMANDED, oauth_password_grant=True) as service:
        admin, member = await service.person(Role.ADMIN), await service.person()
        enrolled = await enrol(service, member, await service.sign_in(member))
        statuses = []
        for person in (admin, enrolled.person, await service.person()):
            form = {"grant_type": "password", "username": person.email, "password": person.password}
            answer = await service.client.post("/oauth/token", data={**form, "client_id": "first-party"})
            statuses.append((answer.status_code, answer.json().get("error")))
        assert statuses == [(400, "invalid_grant"), (400, "invalid_grant"), (200, None)]


async def test_sessions_from_before_the_demand_lose_their_rights(
    make_settings: MakeSettings, start: StartService
) -> None:
    """They are refused at the next request, and their refresh gives no more than the account's own scope."""
    secret = secrets.token_urlsafe(64)
    async with start(secret_key=secret) as service:
        _, tokens = await service.signed_in(Role.ADMIN)
    async with start(secret_key=secret, **DEMANDED) as service:
        assert (await service.client.get("/api/v1/users", headers=tokens.bearer)).status_code == 403
        answer = await service.refresh(tokens.refresh)
        assert answer.json()["scope"] == "account:read account:write"
        await begin(service, tokens_of(answer).bearer)


def test_production_demands_it_of_administrators(make_settings: MakeSettings) -> None:
    """Unset, in production alone; `none` is for no role, and a name that is no role's stops the boot with the names."""
    field = AccountSettings.model_fields["require_second_factor_for"]
    environments = [{"environment": name} for name in ("production", "test", "development")]
    defaults = [field.get_default(call_default_factory=True, validated_data=each) for each in environments]
    assert defaults == [(Role.ADMIN,), (), ()]
    for value, roles in (("none", ()), ("admin, auditor", (Role.ADMIN, Role.AUDITOR))):
        settings = make_settings(require_second_factor_for=value)
        assert isinstance(settings, AccountSettings)
        assert settings.require_second_factor_for == roles
    for value in ("admn", "none,admin"):
        with pytest.raises(ValidationError, match="names a role that does not exist; the roles are member, auditor"):
            make_settings(require_second_factor_for=value)
