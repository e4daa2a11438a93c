"""The OpenAPI document says what is true."""

from typing import Any

import pytest

from app.access.guard import route_policies
from tests.support.service import Service

pytestmark = pytest.mark.anyio

FOR_PROGRAMS = ("/api/", "/oauth/", "/livez", "/readyz")


async def document(service: Service) -> dict[str, Any]:
    """The document as a client gets it."""
    found: dict[str, Any] = (await service.client.get("/openapi.json")).json()
    return found


async def test_every_guarded_operation_names_its_credentials_and_policy(service: Service) -> None:
    """What needs a token says so, what is public does not; only what is no part of the API is left out."""
    paths = (await document(service))["paths"]
    for method, path, policy in route_policies(service.app):
        if path.startswith(FOR_PROGRAMS):
            operation = paths[path][method.lower()]
            assert ("security" in operation) == policy.needs_principal
            assert operation.get("x-policy", "Public") == str(policy)
    assert [path for path in paths if not path.startswith(FOR_PROGRAMS)] == []


async def test_every_error_has_the_one_shape(service: Service) -> None:
    """Problem details everywhere, RFC 6749's errors below /oauth/; nothing of FastAPI's own shape is left."""
    found = await document(service)
    assert not {"HTTPValidationError", "ValidationError"} & set(found["components"]["schemas"])
    for path, operations in found["paths"].items():
        media_type = "application/json" if path.startswith("/oauth/") else "application/problem+json"
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if not status.startswith("2"):
                    assert set(response["content"]) == {media_type}, (path, status)


async def test_what_is_answered_is_documented(service: Service) -> None:
    """The statuses that real requests get are in the document."""
    paths = (await document(service))["paths"]
    _, tokens = await service.signed_in()
    asked = [
        ("post", "/api/v1/signin", {"json": {"email": "x@y.example", "password": "x"}}, 401),
        ("post", "/api/v1/signin", {"json": {}}, 422),
        ("post", "/api/v1/signin", {"content": b"x"}, 415),
        ("post", "/oauth/token", {"data": {"grant_type": "x"}}, 400),
        ("get", "/api/v1/users/me", {}, 401),
        ("get", "/api/v1/users", {"headers": tokens.bearer}, 403),
        ("delete", "/api/v1/sessions", {"headers": tokens.bearer}, 204),
    ]
    for method, path, options, status in asked:
        answer = await service.client.request(method.upper(), path, **options)  # type: ignore[arg-type]
        assert answer.status_code == status
        assert str(status) in paths[path][method]["responses"]


@pytest.mark.asvs("14.2.1")
async def test_no_credential_travels_in_a_query(service: Service) -> None:
    """No operation has a parameter that would carry one: a query tells which part of a list, and of what."""
    for operations in (await document(service))["paths"].values():
        for operation in operations.values():
            names = {each["name"] for each in operation.get("parameters", []) if each["in"] != "path"}
            assert names <= {"limit", "cursor", "q", "actor", "target", "action", "since", "until"}
