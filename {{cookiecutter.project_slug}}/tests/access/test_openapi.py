"""The OpenAPI document says what is true."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI

from app.access.guard import Authentication, GuardedRoute, route_policies
from app.access.openapi import install_openapi
from app.access.policies import Allow, Public, policy
from app.core.events import EventCatalog
from app.core.services import Services
from app.features.accounts.permissions import UserPermission
from tests.support.access import PERMISSIONS, ROLES
from tests.support.service import Service

pytestmark = pytest.mark.anyio


async def document(service: Service) -> dict[str, Any]:
    """The document as a client gets it."""
    found: dict[str, Any] = (await service.client.get("/openapi.json")).json()
    return found


async def test_every_guarded_operation_names_its_credentials_and_policy(service: Service) -> None:
    """What needs a token says so, what is public does not; nothing of the API is left out."""
    policies = {(path, method.lower()): policy for method, path, policy in route_policies(service.app)}
    described = {
        (path, method): operation
        for path, operations in (await document(service))["paths"].items()
        for method, operation in operations.items()
    }
    assert {place for place in policies if place[0].startswith("/api/")} < set(described)
    for place, operation in described.items():
        assert ("security" in operation) == (policies[place].needs_principal or policies[place].needs_caller)
        assert operation.get("x-policy", "Public") == str(policies[place])


async def test_every_operation_is_called_as_its_handler_is(service: Service) -> None:
    """Clients that are generated get methods with these names: each is there once, and has its first line beside it."""
    found = [each for operations in (await document(service))["paths"].values() for each in operations.values()]
    names = [operation["operationId"] for operation in found]
    assert [each["operationId"] for each in found if each["summary"] != each["description"].partition("\n")[0]] == []
    assert {"list_users", "read_me", "token"} <= set(names)
    assert len(set(names)) == len(names)


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


@pytest.mark.asvs("15.3.1")
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
            assert names <= {"limit", "cursor", "q", "state", "actor", "target", "action", "since", "until", "sort"}


async def test_authorizing_is_described_where_it_is_possible() -> None:
    """With the route, each operation names the scope that a token needs; without it, there is nothing of the kind."""
    app, later = FastAPI(openapi_url=None), APIRouter(route_class=GuardedRoute)
    app.router.route_class = GuardedRoute
    app.state.services = services = Services()
    services.add(ROLES)
    services.add(EventCatalog([]))
    services.add(Authentication())

    @app.get("/users")
    @policy(Allow(UserPermission.USERS_READ))
    async def users() -> None:
        pass

    @later.get("/oauth/authorize")
    @policy(Public())
    async def authorize() -> None:
        pass

    def described() -> dict[str, Any]:
        install_openapi(app)
        return app.openapi()

    assert set(described()["components"]["securitySchemes"]) == {"accessToken", "clientSecret"}
    app.include_router(later)
    found = described()
    flow = found["components"]["securitySchemes"]["signIn"]["flows"]["authorizationCode"]
    assert (flow["authorizationUrl"], flow["tokenUrl"]) == ("/oauth/authorize", "/oauth/token")
    assert set(flow["scopes"]) == set(PERMISSIONS)
    assert found["paths"]["/users"]["get"]["security"] == [{"accessToken": []}, {"signIn": ["users:read"]}]


def test_every_permission_is_described() -> None:
    """People who are asked for it can read what it is."""
    assert all(permission.description for permission in PERMISSIONS.values())


@pytest.mark.asvs("6.4.2")
async def test_nobody_is_asked_for_a_hint(service: Service) -> None:
    """Where a password is set, given or kept, no field holds a hint or a secret question, with which others got in."""
    schemas = [schema.get("properties", {}) for schema in (await document(service))["components"]["schemas"].values()]
    names = {name for fields in schemas if any("password" in name for name in fields) for name in fields}
    assert {"password", "new_password", "current_password"} <= names
    assert [name for name in names if "hint" in name or "question" in name or "answer" in name] == []


def parts_of(schema: object, place: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every part of a schema that is a type, by its place."""
    if isinstance(schema, dict):
        if isinstance(schema.get("type"), str):
            yield place, schema
        for name, part in schema.items():
            yield from parts_of(part, f"{place}.{name}")
    elif isinstance(schema, list):
        for part in schema:
            yield from parts_of(part, place)


@pytest.mark.asvs("2.1.1", "2.2.1")
async def test_every_field_that_is_sent_has_bounds(service: Service) -> None:
    """Texts have a length, a form or a list of values; lists a length; numbers both ends; objects their fields."""
    found = await document(service)
    bodies = {name: schema for name, schema in found["components"]["schemas"].items() if not name.endswith("Read")}
    sent = {
        reference.rsplit("/", 1)[-1]
        for operations in found["paths"].values()
        for operation in operations.values()
        for media in operation.get("requestBody", {}).get("content", {}).values()
        for reference in re.findall(r"#/components/schemas/\w+", str(media))
    }
    bounds = {
        "string": {"maxLength", "enum", "const"},  # a `SecretStr` has a format, which is no bound
        "array": {"maxItems"},
        "integer": {"minimum"},
        "number": {"minimum"},
        "object": {"properties"},
        "boolean": {"type"},
        "null": {"type"},
    }
    parts = [part for name in sent for part in parts_of(bodies[name], name)]
    assert len(parts) > 50
    assert [place for place, part in parts if not bounds[part["type"]] & part.keys()] == []
    assert [place for place, part in parts if "minimum" in part and "maximum" not in part] == []
