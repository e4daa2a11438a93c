"""No page does, or shows, for less what the API asks more for."""

import pytest

from tests.support.pages.counterparts import compare
from tests.support.service import Service

pytestmark = [pytest.mark.anyio, pytest.mark.asvs("7.5.3", "8.2.1", "8.3.1")]

USER, CLIENT = "/api/v1/users/{user_id}", "/api/v1/clients/{client_id}"
COUNTERPARTS: dict[str, str | None] = {
    "GET /account": "GET /api/v1/users/me",
    "POST /account/alerts": "PATCH /api/v1/users/me",
    "POST /account/data": "GET /api/v1/users/me/export",
    "POST /account/delete": "DELETE /api/v1/users/me",
    "POST /account/email": "POST /api/v1/users/me/email",
    "POST /account/email/confirm": "POST /api/v1/accounts/email/confirm",
    "GET /account/factors": "GET /api/v1/users/me/factors",
    "POST /account/factors/add/{kind}": "POST /api/v1/users/me/factors",
    "POST /account/factors/add/{kind}/confirm": "POST /api/v1/users/me/factors",
    "POST /account/factors/alone": "DELETE /api/v1/users/me/password",
    "POST /account/factors/codes": "POST /api/v1/users/me/factors",
    "POST /account/factors/{factor_id}/remove": "DELETE /api/v1/users/me/factors/{factor_id}",
    "POST /account/password": "POST /api/v1/users/me/password",
    "POST /account/profile": "PATCH /api/v1/users/me",
    "GET /account/sessions": "GET /api/v1/sessions",
    "POST /account/sessions/end-others": "DELETE /api/v1/sessions",
    "POST /account/sessions/{session_id}/end": "DELETE /api/v1/sessions/{session_id}",
    "GET /admin": "GET /api/v1/users",
    "GET /admin/audit": "GET /api/v1/audit",
    "POST /admin/audit/export": "GET /api/v1/audit",
    "GET /admin/clients": "GET /api/v1/clients",
    "POST /admin/clients/new": "POST /api/v1/clients",
    "GET /admin/clients/{client_id}": "GET /api/v1/clients",
    "POST /admin/clients/{client_id}/remove": f"DELETE {CLIENT}",
    "POST /admin/clients/{client_id}/secret": f"POST {CLIENT}/secret",
    "GET /admin/users": "GET /api/v1/users",
    "POST /admin/users/invite": "POST /api/v1/invitations",
    "GET /admin/users/{user_id}": f"GET {USER}",
    "POST /admin/users/{user_id}/delete": f"DELETE {USER}",
    "POST /admin/users/{user_id}/disable": f"PATCH {USER}",
    "POST /admin/users/{user_id}/enable": f"PATCH {USER}",
    "POST /admin/users/{user_id}/factors/reset": f"DELETE {USER}/factors",
    "POST /admin/users/{user_id}/name": f"PATCH {USER}",
    "POST /admin/users/{user_id}/roles": f"PUT {USER}/roles",
    # Ending all of somebody's sessions is what disabling does too.
    "POST /admin/users/{user_id}/sessions/end-all": f"PATCH {USER}",
    "POST /admin/users/{user_id}/sessions/{session_id}/end": f"PATCH {USER}",
    "POST /forgot": "POST /api/v1/accounts/password/forgot",
    "POST /login": "POST /api/v1/signin",
    "POST /login/factor": "POST /api/v1/signin/factor",
    "POST /login/passkey": "POST /api/v1/signin/factor",
    "POST /login/passkey/options": "POST /api/v1/signin/passkey",
    "POST /register": "POST /api/v1/accounts",
    "POST /reset": "POST /api/v1/accounts/password/reset",
    "POST /verify": "POST /api/v1/accounts/verify",
    # The form shows nothing of an account: what it sends is above.
    **dict.fromkeys(
        f"GET {path}"
        for path in (
            "/account/data",
            "/account/delete",
            "/account/email",
            "/account/email/confirm",
            "/account/factors/add/{kind}",
            "/account/password",
            "/admin/clients/new",
            "/admin/users/invite",
            "/admin/users/{user_id}/delete",
            "/admin/users/{user_id}/roles",
            "/confirm",
            "/forgot",
            "/login",
            "/login/factor",
            "/logout",
            "/register",
            "/reset",
            "/verify",
        )
    ),
    # The API has nothing of the kind.
    "GET /": None,
    "GET /account/applications": None,
    "POST /account/applications/{consent_id}/revoke": None,
    "GET /admin/health": None,
    "GET /admin/routes": None,
    "GET /admin/users/{user_id}/sessions": None,
    "GET /assets/{version}/{name}": None,
    "POST /confirm": None,
    "GET /docs": None,
    "GET /docs/oauth2-redirect": None,
    "POST /logout": None,
    "GET /oauth/authorize": None,
    "POST /oauth/authorize": None,
}


async def test_no_page_asks_for_less_than_the_api(service: Service) -> None:
    """Permission, recent sign-in and own session are those of the API's route, or more; every page is compared."""
    assert compare(service.app, "pages", COUNTERPARTS) == ([], [])
