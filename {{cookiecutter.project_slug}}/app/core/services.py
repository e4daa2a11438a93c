"""The registry of services: one object of each type, found by its type."""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Depends, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts

Service = TypeVar("Service")


class FeatureError(Exception):
    """Features do not go together: a service is missing, for example. The boot stops."""


class Services(AsyncExitStack):
    """The services of an application: each feature adds its own, and uses earlier ones. The last is closed first."""

    def __init__(self) -> None:
        super().__init__()
        self._by_type: dict[type, object] = {}

    def add(
        self, service: Service, *, kind: type | None = None, close: Callable[[], Awaitable[None]] | None = None
    ) -> Service:
        """Add a service, and return it; `kind` is a base of its type to find it by, and `close` is awaited at shutdown.

        Raises `ValueError` if there is a service of the type.
        """
        kind = kind or type(service)
        if kind in self._by_type:
            raise ValueError(f"There are two services of the type {kind.__name__}.")
        self._by_type[kind] = service
        if close is not None:
            self.push_async_callback(close)
        return service

    def __getitem__(self, kind: type[Service]) -> Service:
        """Return the service of this type; raises `FeatureError`."""
        try:
            return self._by_type[kind]  # type: ignore[return-value]  # `add` holds key and value together
        except KeyError:
            raise FeatureError(f"{kind.__name__} is needed, and no feature before has provided it.") from None


@dataclass(frozen=True)
class _Provided:
    kind: type

    async def __call__(self, request: Request) -> object:
        return services_of(request.app)[self.kind]


def provided(kind: type) -> Any:
    """Declare the service of this type as a parameter of a handler, in `Annotated`."""
    return Depends(_Provided(kind))


def services_of(app: FastAPI) -> Services:
    """Return the services for middleware, routes and helpers: FastAPI calls none of these, so `provided` cannot."""
    services: Services = app.state.services
    return services


def require_services(app: FastAPI) -> None:
    """Raise `FeatureError` if a handler names a service that no feature provides."""
    for context in iter_route_contexts(app.routes):
        for call in dependencies_of(context.dependant):
            if isinstance(call, _Provided):
                _ = services_of(app)[call.kind]  # raises


def dependencies_of(dependant: Dependant) -> Iterator[object]:
    """Yield the functions of all dependencies of a handler, those of dependencies too."""
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from dependencies_of(dependency)
