"""The OpenAPI document, with security requirements from the policies and error answers from the one error shape."""

from functools import cache, partial
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from app.access.guard import Authentication, route_policies
from app.access.policies import Allow, OwnSession, Policy, Recent
from app.access.roles import RoleTable
from app.core.errors import OAUTH_PREFIX
from app.core.events import EventCatalog
from app.core.services import services_of


class Reason(BaseModel):
    """Where a rule is broken, and why."""

    location: list[str | int]
    reason: str


class Problem(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str | None
    errors: list[Reason] | None = Field(default=None, description="Where and why, in a 422.")


class OAuthError(BaseModel):
    """RFC 6749 section 5.2."""

    error: str
    error_description: str


_TEXT = {"type": "string"}
_BEARER = {"type": "http", "scheme": "bearer", "bearerFormat": "at+jwt"}
_CLIENT = {"type": "http", "scheme": "basic", "description": "An OAuth 2 client (RFC 6749 section 2.3.1)."}
_AUTHORIZE, _TOKEN = f"{OAUTH_PREFIX}authorize", f"{OAUTH_PREFIX}token"


def install_openapi(app: FastAPI) -> None:
    """Make `app.openapi()` return this document, made once."""
    app.openapi = cache(partial(_document, app))  # type: ignore[method-assign]  # FastAPI's documented way


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = document.setdefault("components", {})
    components["securitySchemes"] = schemes = _security_schemes(app)
    schemas = components.setdefault("schemas", {})
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    template = "#/components/schemas/{model}"
    _, errors = models_json_schema([(Problem, "validation"), (OAuthError, "validation")], ref_template=template)
    schemas.update(errors["$defs"])
    # Their members are declared by the features.
    schemas["Permission"] = _TEXT | {"title": "Permission", "enum": list(services_of(app)[RoleTable].permissions)}
    events = list(map(str, services_of(app)[EventCatalog].events))
    schemas["SecurityEvent"] = _TEXT | {"title": "SecurityEvent", "enum": events}
    for method, path, policy in route_policies(app):
        operation = document["paths"].get(path, {}).get(method.lower())
        if operation is not None:
            _complete(operation, path, policy)
            if policy.needs_principal and "signIn" in schemes and not isinstance(policy, OwnSession):
                permission = getattr(policy, "permission", None)
                operation["security"].append({"signIn": [str(permission)] if permission else []})
            if policy.takes_api_keys:
                operation["security"] += [{name: []} for name in services_of(app)[Authentication].key_schemes]
    return document


def _security_schemes(app: FastAPI) -> dict[str, Any]:
    """Return the security schemes; `signIn`, with relative URLs, only if there is an authorization endpoint."""
    schemes: dict[str, Any] = {}
    if any(path == _AUTHORIZE for _, path, _ in route_policies(app)):
        scopes = {name: permission.description for name, permission in services_of(app)[RoleTable].permissions.items()}
        code = {"authorizationUrl": _AUTHORIZE, "tokenUrl": _TOKEN, "refreshUrl": _TOKEN, "scopes": scopes}
        description = "RFC 6749 section 4.1 with PKCE (RFC 7636)."
        # First, for readers of the document offer them in this order, and here no token has to be pasted.
        schemes["signIn"] = {"type": "oauth2", "description": description, "flows": {"authorizationCode": code}}
    schemes |= {"accessToken": _BEARER, "clientSecret": _CLIENT}
    return schemes | services_of(app)[Authentication].key_schemes


def _complete(operation: dict[str, Any], path: str, policy: Policy) -> None:
    if policy.needs_principal or policy.needs_caller:
        operation["security"] = [*([{"clientSecret": []}] if policy.needs_caller else []), {"accessToken": []}]
        operation["x-policy"] = str(policy)
    responses = operation["responses"]
    for status, description in _errors(operation, path, policy).items():
        declared = {} if status == "422" else responses.get(status, {})
        responses[status] = {"description": description} | declared | {"content": _content(path)}
    for status, response in responses.items():
        if status.startswith(("4", "5")):
            response["content"] = _content(path)


def _errors(operation: dict[str, Any], path: str, policy: Policy) -> dict[str, str]:
    errors = {
        "400": "The request is malformed",
        "429": "A limit is reached",
        "503": "Not able to answer now",
        "default": "Any other error",
    }
    if policy.needs_principal or policy.needs_caller:
        errors["401"] = "Not signed in"
    if isinstance(policy, Recent):
        errors["401"] = f"Not signed in, or more than {policy.minutes} minutes ago (RFC 9470)"
        errors["403"] = "The permission is missing, or a client acts where a person must"
    if isinstance(policy, Allow):
        errors["403"] = "The permission is missing"
    if "requestBody" in operation:
        errors |= {"413": "The body is too large", "415": "The body is of another type"}
    if path.startswith(OAUTH_PREFIX):
        operation["responses"].pop("422", None)
    elif "requestBody" in operation or "parameters" in operation:
        errors["422"] = "A rule is broken"
    if "{" in path:
        errors["404"] = "There is no such thing, or it is not yours"
    return errors


def _content(path: str) -> dict[str, Any]:
    if path.startswith(OAUTH_PREFIX):
        return {"application/json": {"schema": {"$ref": "#/components/schemas/OAuthError"}}}
    return {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
