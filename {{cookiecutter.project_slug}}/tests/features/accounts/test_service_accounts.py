"""Service accounts: whatever people can do to get into an account, nobody gets into one of these."""

import pytest
from sqlalchemy import func, select

from app.access.roles import Role
from app.core.database.database import Database
from app.core.mail.outbox import OutboxMail
from app.features.accounts.models import User
from tests.support.api.oauth import machine_token, register_machine
from tests.support.service import Service

pytestmark = pytest.mark.anyio

PASSWORD = "seven green lamps sing"


@pytest.mark.asvs("6.3.2", "6.4.1")
async def test_nobody_registers_signs_in_or_recovers_there(service: Service) -> None:
    """No route takes the address, in any spelling, and no mail is ever written."""
    machine = await register_machine(service)
    _, admin = await service.signed_in(Role.ADMIN)
    person, member = await service.signed_in()
    name = f"{machine.client_id}@clients.invalid"
    for email in (name, name.upper(), f"{machine.client_id}+x@clients.invalid", "new@clients.invalid"):
        for path, body, headers in (
            ("accounts", {"email": email, "password": PASSWORD}, {}),
            ("accounts/password/forgot", {"email": email}, {}),
            ("invitations", {"email": email}, admin.bearer),
            ("users/me/email", {"new_email": email, "current_password": person.password}, member.bearer),
        ):
            answer = await service.client.post(f"/api/v1/{path}", json=body, headers=headers)
            assert answer.status_code == 422, path
        for password in (PASSWORD, "nobody has this password", machine.secret or ""):
            assert (await service.try_sign_in(email, password)).status_code == 401
    async with service[Database].read() as db:
        found = await db.scalar(select(User).where(User.email == name))
        assert await db.scalar(select(func.count()).select_from(OutboxMail)) == 0
    assert found is not None
    assert found.password_hash is None


async def test_the_account_cannot_give_itself_a_password_or_an_address(service: Service) -> None:
    """What asks for the current password is closed: it has none, and none is right."""
    machine = await register_machine(service)
    tokens = await machine_token(service, machine)
    for method, path, body in (
        ("POST", "/password", {"current_password": PASSWORD, "new_password": "another " + PASSWORD}),
        ("POST", "/email", {"current_password": PASSWORD, "new_email": "mine@people.example"}),
        ("DELETE", "", {"current_password": PASSWORD}),
    ):
        answer = await service.client.request(method, f"/api/v1/users/me{path}", json=body, headers=tokens.bearer)
        assert answer.status_code == 403


async def test_it_does_not_count_as_the_last_administrator(service: Service) -> None:
    """Somebody who can sign in stays, however many clients are administrators."""
    await register_machine(service, Role.ADMIN)
    person, admin = await service.signed_in(Role.ADMIN)
    for method, path, body in (
        ("PATCH", "", {"disabled": True}),
        ("PUT", "/roles", {"roles": ["member"]}),
        ("DELETE", "", None),
    ):
        answer = await service.client.request(
            method, f"/api/v1/users/{person.id}{path}", json=body, headers=admin.bearer
        )
        assert answer.status_code == 409
