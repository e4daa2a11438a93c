"""Traces and crash reports, as a feature: without their settings nothing is sent, and no library is imported."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from app.core.services import Services
from app.core.settings.model import Settings
from app.feature import Feature


@asynccontextmanager
async def run(services: Services) -> AsyncIterator[None]:
    """Send what the settings ask for, and what waits at the end, for some seconds."""
    settings = services[Settings]
    with ExitStack() as stack:
        if settings.otel_exporter_otlp_endpoint is not None:
            from app.features.telemetry.traces import exporting_traces  # noqa: PLC0415  # an extra has its packages

            stack.enter_context(exporting_traces(settings))
        if settings.sentry_dsn is not None:
            from app.features.telemetry.crashes import reporting_crashes  # noqa: PLC0415  # the same

            stack.enter_context(reporting_crashes(settings))
        yield


TELEMETRY = Feature(name="telemetry", run=run)
