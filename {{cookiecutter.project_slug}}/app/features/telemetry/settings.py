"""The settings of traces and crash reports."""

from importlib.util import find_spec
from typing import Annotated

from pydantic import AfterValidator, Field, SecretStr

from app.core.settings.model import FeatureSettings
from app.core.settings.rules import is_local, refuse_if, split_url


def collector_url(value: str) -> str:
    """Accept the base URL of an OpenTelemetry collector."""
    parts = split_url(value)
    is_web = parts.scheme in {"http", "https"} and parts.hostname
    refuse_if(not is_web, "does not begin with https:// or http://, and a host")
    more = parts.username is not None or parts.query or parts.fragment
    refuse_if(more, "holds more than a scheme, a host, a port and a path: secrets are for OTEL_EXPORTER_OTLP_HEADERS")
    _require_packages("telemetry", "opentelemetry.sdk", "opentelemetry.exporter")
    return value.rstrip("/")


def dsn(secret: SecretStr) -> SecretStr:
    """Accept a DSN of Sentry."""
    parts = split_url(secret.get_secret_value())
    is_web = parts.scheme in {"http", "https"} and parts.username and parts.hostname
    refuse_if(not is_web or parts.query or parts.fragment, "is not of the form https://key@host/number")
    refuse_if(not parts.path.rpartition("/")[2].isdecimal(), "does not end with the number of a project")
    is_plain = parts.scheme == "http" and not is_local(parts.hostname)
    refuse_if(is_plain, "reaches another machine without TLS: begin it with https://")
    _require_packages("sentry", "sentry_sdk")
    return secret


def _require_packages(extra: str, *packages: str) -> None:
    """Refuse a setting whose packages are not installed."""
    refuse_if(not all(map(find_spec, packages)), f"needs packages that are not installed: uv sync --extra {extra}")


class TelemetrySettings(FeatureSettings):
    """Where traces and crash reports go."""

    otel_exporter_otlp_endpoint: Annotated[str, AfterValidator(collector_url)] | None = Field(
        None, examples=["http://127.0.0.1:4318"]
    )
    """The OpenTelemetry collector for spans of requests (OTLP over HTTP), which hold route and status, and nothing that
    was sent. It needs the extra `telemetry`. Unset, there are none."""

    otel_exporter_otlp_headers: SecretStr | None = Field(None, examples=["api-key=…"])
    """Headers for the collector: `name=value`, with commas between them."""

    sentry_dsn: Annotated[SecretStr, AfterValidator(dsn)] | None = Field(
        None, examples=["https://key@sentry.example.com/1"]
    )
    """Where crashes are reported: type and place in the code, without any text or value. It needs the extra `sentry`.
    Unset, nowhere."""
