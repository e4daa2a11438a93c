"""Traces and crash reports, as a feature: without their settings nothing is sent, and no library is imported."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from app.core.services import Services
from app.core.settings.model import Settings
from app.feature import Feature
from app.features.telemetry.settings import TelemetrySettings


@asynccontextmanager
async def run(services: Services) -> AsyncIterator[None]:
    """Send what the settings ask for, and what waits at the end, for some seconds."""
    settings, own = services[Settings], services[TelemetrySettings]
    with ExitStack() as stack:
        if own.otel_exporter_otlp_endpoint is not None:
            from app.features.telemetry.traces import exporting_traces

            stack.enter_context(exporting_traces(own, settings.app_name))
        if own.sentry_dsn is not None:
            from app.features.telemetry.crashes import reporting_crashes

            stack.enter_context(reporting_crashes(own.sentry_dsn, settings.environment))
        yield


TELEMETRY = Feature(
    name="telemetry",
    settings=(TelemetrySettings,),
    spans=lambda services: services[TelemetrySettings].otel_exporter_otlp_endpoint is not None,
    run=run,
)
