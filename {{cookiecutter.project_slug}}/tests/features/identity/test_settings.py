"""`app/features/identity/settings.py`: settings whose names stand in another one."""

from pathlib import Path

import pytest

from app.assembly import load_settings
from app.core.settings.report import SettingsError
from app.features.identity.settings import IdentitySettings
from tests.features.identity.providers.issuer import Issuer
from tests.support.settings_sources import CANARY, PRODUCTION, Sources

GOOGLE = {
    "IDENTITY_PROVIDERS": "google",
    "IDP_GOOGLE_ISSUER": "https://accounts.google.com",
    "IDP_GOOGLE_CLIENT_ID": "id",
    "IDP_GOOGLE_CLIENT_SECRET": CANARY,
}


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, issuers: dict[str, Issuer]) -> Sources:
    """Where settings come from, in production, without the providers of the other tests."""
    for name in ("", *issuers):
        for part in ("ISSUER", "CLIENT_ID", "CLIENT_SECRET"):
            monkeypatch.delenv(f"IDP_{name.upper()}_{part}", raising=False)
    monkeypatch.delenv("IDENTITY_PROVIDERS", raising=False)
    sources = Sources(monkeypatch, tmp_path)
    sources.environment(**PRODUCTION)
    return sources


def test_a_provider_is_named_anywhere_settings_are(sources: Sources) -> None:
    """In the environment or in `.env`; no secret is shown."""
    assert load_settings().identity_providers == ()  # type: ignore[attr-defined]  # of this feature
    more = {"IDP_GOOGLE_DOMAINS": "Example.com, bücher.example", "IDP_GOOGLE_SECOND_FACTOR": "mfa, https://a.example/2"}
    sources.dotenv("".join(f"{name}={value}\n" for name, value in (GOOGLE | more).items()))
    settings = load_settings()
    assert isinstance(settings, IdentitySettings)
    (google,) = settings.providers
    assert google[:3] == ("google", "https://accounts.google.com", "id")
    assert (google.label, google.private) == ("Google", False)
    assert google.client_secret.get_secret_value() == CANARY
    assert google.domains == ("example.com", "xn--bcher-kva.example")
    assert google.second_factor == ("mfa", "https://a.example/2")
    assert CANARY not in repr(settings)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("IDENTITY_PROVIDERS", "google,google", "IDENTITY_PROVIDERS: is not a list of different names"),
        ("IDENTITY_PROVIDERS", f"{CANARY}/", "IDENTITY_PROVIDERS: is not a list of different names"),
        ("IDENTITY_PROVIDERS", "google,keycloak", "IDP_KEYCLOAK_ISSUER: is missing"),
        ("IDP_GOOGLE_ISSUER", "http://accounts.google.com", "IDP_GOOGLE_ISSUER: must begin with https://"),
        ("IDP_GOOGLE_ISSUER", "http://127.0.0.1:8080", "IDP_GOOGLE_ISSUER: must begin with https://"),
        ("IDP_GOOGLE_ISSUER", f"https://{CANARY}@google.com", "IDP_GOOGLE_ISSUER: holds more than"),
        ("IDP_GOOGLE_ISSUER", "accounts.google.com", "IDP_GOOGLE_ISSUER: does not begin with https://"),
        ("IDP_GOOGLE_CLIENT_ID", "", "IDP_GOOGLE_CLIENT_ID: is missing"),
        ("IDP_GOOGLE_CLIENT_SECRET", "", "IDP_GOOGLE_CLIENT_SECRET: is missing"),
        ("IDP_GOOGLE_PRIVATE", CANARY, "IDP_GOOGLE_PRIVATE: "),
        ("IDP_GOOGLE_DOMAINS", f"{CANARY}@example.com", "IDP_GOOGLE_DOMAINS: entry 1 is not the domain"),
        ("IDP_GOOGLE_DOMAINS", "example.com;example.org", "IDP_GOOGLE_DOMAINS: entry 1 is not the domain"),
        ("IDP_GOOGLE_DOMAINS", "*.example.com", "IDP_GOOGLE_DOMAINS: entry 1 is not the domain"),
        ("IDP_GOOGLE_DOMAINS", "@example.com", "IDP_GOOGLE_DOMAINS: entry 1 is not the domain"),
        (
            "IDP_GOOGLE_SECOND_FACTOR",
            "mfa,pwd",
            "IDP_GOOGLE_SECOND_FACTOR: entry 2 names what a sign-in with one factor says",
        ),
    ],
)
@pytest.mark.asvs("13.3.1")
def test_what_is_wrong_stops_the_boot_without_being_shown(sources: Sources, name: str, value: str, said: str) -> None:
    """The message names the setting of the provider, and no part of a value."""
    sources.environment(**GOOGLE)
    load_settings()
    sources.environment(**{name: value})
    with pytest.raises(SettingsError, match=said) as caught:
        load_settings()
    assert CANARY not in str(caught.value)


def test_a_setting_of_no_provider_stops_the_boot(sources: Sources) -> None:
    """In `.env`, as every unknown name does."""
    sources.environment(**GOOGLE)
    sources.dotenv("IDP_GOGLE_LABEL=x\n")
    with pytest.raises(SettingsError, match="IDP_GOGLE_LABEL: is not the name of a setting"):
        load_settings()
