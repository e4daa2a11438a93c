"""Secrets in every input of a running service: whatever it writes or sends elsewhere must hold none of them."""

import secrets

import httpx2

from tests.support.processes.replicas import PASSWORD, sign_in


def send_secrets(client: httpx2.Client) -> tuple[list[str], list[httpx2.Response]]:
    """Send passwords, tokens, cookies, keys in a query, bodies that are refused; return the secrets, and the answers.

    The tokens that the service gave are among the secrets.
    """
    canaries = iter([f"Canary{secrets.token_hex(12)}" for _ in range(30)])
    sent: list[str] = []

    def canary() -> str:
        sent.append(next(canaries))
        return sent[-1]

    tokens = sign_in(client).json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    form = {"grant_type": "refresh_token"}
    answers = [
        sign_in(client, canary()),
        client.post("/api/v1/signin", json={"email": "a@b.example", "password": canary(), "more": canary()}),
        client.post(
            "/api/v1/signin",
            content=f'{{"password": "{canary()}", '.encode(),
            headers={"Content-Type": "application/json"},
        ),
        client.post("/api/v1/signin", content=canary().encode(), headers={"Content-Type": "text/plain"}),
        client.post(
            "/api/v1/users/me/password",
            headers=headers,
            json={"current_password": canary(), "new_password": canary() * 2},
        ),
        client.post(
            "/api/v1/users/me/password",
            headers=headers,
            json={"current_password": PASSWORD, "new_password": canary()[:14]},
        ),
        client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {canary()}"}),
        client.get("/api/v1/users/me", headers={"Authorization": f"Basic {canary()}"}),
        client.get(f"/api/v1/info?access_token={canary()}"),
        client.get(f"/api/v1/info?name={canary()}", headers={"Cookie": f"session={canary()}", "X-Api-Key": canary()}),
        client.get(f"/reset/{canary()}"),
        client.post("/oauth/token", data=form | {"client_id": "x", "client_secret": canary()}),
        client.post("/oauth/token", data=form, auth=(canary(), canary())),
        client.post("/oauth/introspect", data={"token": canary()}, headers={"Authorization": f"Basic {canary()}"}),
        client.post(
            "/oauth/token", data=form | {"client_id": "x", "code": f"ac_{canary()}", "code_verifier": canary()}
        ),
        client.post("/oauth/token", data=form | {"refresh_token": f"rt_{canary()}"}),
        client.post("/oauth/token", data={"grant_type": "password", "username": "a@b.example", "password": canary()}),
        client.post("/oauth/token", data=form | {"refresh_token": tokens["refresh_token"]}),
        client.post("/oauth/revoke", data={"token": canary()}, headers=headers),
    ]
    given = [tokens["access_token"], tokens["refresh_token"], answers[-2].json()["access_token"]]
    return [*sent, PASSWORD, *given], answers
