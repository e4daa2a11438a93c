"""Metrics, as a feature: without `METRICS_PORT` nothing is measured, and the library is not even imported."""

from contextlib import AbstractAsyncContextManager, nullcontext

from fastapi import FastAPI

from app.core.services import Services, services_of
from app.core.settings.model import Settings
from app.feature import Feature


def install(app: FastAPI) -> None:
    """Count the requests, outside of every other middleware, so that what those refuse is counted too."""
    if services_of(app)[Settings].metrics_port is not None:
        from app.features.metrics.measures import RequestMetricsMiddleware

        app.add_middleware(RequestMetricsMiddleware)


def run(services: Services) -> AbstractAsyncContextManager[None]:
    """Count the security events, and look at queues and tables again and again."""
    if services[Settings].metrics_port is None:
        return nullcontext()
    from app.features.metrics.measures import sampling

    return sampling(services)


METRICS = Feature(name="metrics", uses=("accounts", "audit", "system"), install=install, run=run)
