"""Spans of requests to an OpenTelemetry collector: OTLP over HTTP, made by FastAPI and reduced here to what is known.

Names and attributes are a list of what may leave: FastAPI's own spans hold the path and the query as they were sent.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Status
from opentelemetry.util.re import parse_env_headers

from app.features.telemetry.settings import TelemetrySettings

_KEPT = (
    *("http.request.method", "http.route", "http.response.status_code", "error.type"),
    *("url.scheme", "network.protocol.version", "code.function.name"),
)
# FastAPI's spans, and those of this project's own code; the names of others may hold statements or addresses.
_SCOPES = ("fastapi", "app")
_ANSWER_SECONDS = 5
_END_SECONDS = 3


@contextmanager
def exporting_traces(settings: TelemetrySettings, name: str) -> Iterator[None]:
    """Send the spans of the block; at its end what waits, for some seconds. A collector that is down keeps nobody."""
    headers = settings.otel_exporter_otlp_headers
    exporter = OTLPSpanExporter(
        endpoint=f"{settings.otel_exporter_otlp_endpoint}/v1/traces",
        headers=parse_env_headers(headers.get_secret_value(), liberal=True) if headers else {},
        timeout=_ANSWER_SECONDS,
    )
    resource = Resource({SERVICE_NAME: name}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(_KnownPartsExporter(exporter)))
    propagate.set_global_textmap(_NoForeignContext())
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        ending = threading.Thread(target=provider.shutdown, daemon=True)
        ending.start()
        ending.join(_END_SECONDS)


class _NoForeignContext(TextMapPropagator):
    """Takes nothing from headers: clients could choose our trace ids, switch traces off, or have their text sent on."""

    fields = set()

    def extract(self, carrier: Any, context: Context | None = None, getter: Any = None) -> Context:
        """Begin a new trace."""
        return context or Context()

    def inject(self, carrier: Any, context: Context | None = None, setter: Any = None) -> None:
        """Tell other services nothing."""


class _KnownPartsExporter(SpanExporter):
    """Hands on what may leave."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the known parts."""
        known = [_known_parts(span) for span in spans if _scope_of(span) in _SCOPES]
        return self._exporter.export(known) if known else SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """End."""
        self._exporter.shutdown()


def _scope_of(span: ReadableSpan) -> str:
    return span.instrumentation_scope.name.partition(".")[0] if span.instrumentation_scope else ""


def _known_parts(span: ReadableSpan) -> ReadableSpan:
    attributes = span.attributes or {}
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes={name: attributes[name] for name in _KEPT if name in attributes},
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
