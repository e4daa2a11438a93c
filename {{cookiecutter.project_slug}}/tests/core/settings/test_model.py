"""Settings: where they come from, how they are read, and that nothing shows a secret."""

import pickle
import secrets
from ipaddress import ip_network
from typing import Any

import pytest

from app.core.settings.model import Settings, load_settings, source_of
from tests.support.settings_sources import CANARY, GOOD, PRODUCTION, Sources


def test_the_environment_comes_before_env_before_the_files_of_secrets(sources: Sources) -> None:
    """The first source that has a value wins; the end of the line in a file is no part of a secret."""
    sources.environment(ENVIRONMENT="test", APP_NAME="from the environment", ADMIN_EMAIL=GOOD["ADMIN_EMAIL"])
    sources.dotenv("APP_NAME=from .env\nITEMS_PER_USER=7\nDATABASE_URL=sqlite:///app.db\n")
    sources.secret("secret_key", GOOD["SECRET_KEY"] + "\n").secret("items_per_user", "8")
    settings = load_settings()
    assert (settings.app_name, settings.items_per_user) == ("from the environment", 7)
    assert settings.secret_key.get_secret_value() == GOOD["SECRET_KEY"]


@pytest.mark.asvs("13.4.2")
def test_unset_means_production(sources: Sources) -> None:
    """Whoever forgets the setting gets the strictest rules, JSON logs and one host."""
    sources.environment(**PRODUCTION)
    settings = load_settings()
    assert settings.environment == "production"
    assert settings.production
    assert settings.log_format == "json"
    assert settings.registration == "closed"
    assert settings.allowed_hosts == ("api.service.example",)


def test_registration_is_open_only_where_it_is_said_or_tried(sources: Sources) -> None:
    """Open while developing; in production closed, unless it is opened by name, in whatever case."""
    sources.environment(**PRODUCTION, REGISTRATION="Open")
    assert load_settings().registration == "open"
    sources.environment(ENVIRONMENT="development", REGISTRATION="")
    assert load_settings().registration == "open"
    sources.environment(REGISTRATION="closed")
    assert load_settings().registration == "closed"


def test_an_empty_value_means_unset(sources: Sources) -> None:
    """`REDIS_URL=` in `.env` is not a URL."""
    sources.environment(**PRODUCTION, REDIS_URL="", ENVIRONMENT="")
    assert load_settings().redis_url is None


def test_lists_are_written_with_commas(sources: Sources) -> None:
    """With or without space, and each entry in its one form."""
    sources.environment(
        **PRODUCTION,
        ALLOWED_HOSTS="API.service.example, www.service.example",
        CORS_ORIGINS="https://App.service.example:443",
        TRUSTED_PROXIES="10.0.0.5, fd00::/64, 10.0.0.6:8080, [fd01::1]:443, ::ffff:10.0.0.7, ::ffff:10.1.0.0/112",
        SECRET_KEY_FALLBACKS=f"{secrets.token_urlsafe(64)},{secrets.token_urlsafe(64)}",
    )
    settings = load_settings()
    assert settings.allowed_hosts == ("api.service.example", "www.service.example")
    assert settings.cors_origins == ("https://app.service.example",)
    proxies = ("10.0.0.5", "fd00::/64", "10.0.0.6", "fd01::1", "10.0.0.7", "10.1.0.0/16")
    assert settings.trusted_proxies == tuple(map(ip_network, proxies))
    assert len(settings.secret_key_fallbacks) == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"SECRETKEY={CANARY}\n", "Did you mean SECRET_KEY?"),
        (f"COMPLETELY_OTHER={CANARY}\n", "is not the name of a setting"),
        (f"a line without {CANARY}\n", "is not of the form NAME=value"),
        (b"APP_NAME=\xff\xfe\n", "UTF-8"),
    ],
)
def test_env_is_read_strictly(sources: Sources, text: str | bytes, words: str) -> None:
    """An unknown name, a line that is none, another encoding: each is said in words."""
    sources.environment(**PRODUCTION).dotenv(text)
    assert words in sources.refused()


def test_the_rest_of_the_environment_is_none_of_our_business(sources: Sources) -> None:
    """Only `.env` is ours alone: a variable or a file of somebody else is no mistake."""
    sources.environment(**PRODUCTION, REGISTRATION="open", OTHER="x").secret("other", "x")
    assert load_settings().production


@pytest.mark.asvs("13.3.1", "16.2.5")
def test_no_text_of_the_settings_shows_a_secret(sources: Sources) -> None:
    """Neither `repr` nor `str` nor a dump; and they cannot be pickled or changed."""
    canaries = [secrets.token_urlsafe(48) for _ in range(5)]
    sources.environment(
        **PRODUCTION
        | {
            "SECRET_KEY": canaries[0],
            "SECRET_KEY_FALLBACKS": canaries[1],
            "DATABASE_URL": f"postgresql://app:{canaries[2]}@db/app",
            "REDIS_URL": f"redis://:{canaries[3]}@redis/0",
            "SMTP_URL": f"smtps://mailer:{canaries[4]}@smtp.service.example",
        }
    )
    settings: Any = load_settings()
    for text in (repr(settings), str(settings), settings.model_dump_json(), f"{settings}"):
        assert not [canary for canary in canaries if canary in text]
    with pytest.raises(pickle.PicklingError):
        pickle.dumps(settings)
    with pytest.raises(Exception, match="frozen"):
        settings.app_name = "other"


def test_settings_can_be_given_by_name(sources: Sources) -> None:
    """As tests and scripts do."""
    sources.environment(**PRODUCTION)
    assert Settings(app_name="given").app_name == "given"
    assert load_settings(items_per_user=3).items_per_user == 3


def test_tells_where_a_value_comes_from(sources: Sources) -> None:
    """The first place that has one, an empty value being none: the environment, `.env`, a file of its name."""
    assert source_of("secret_key") is None
    sources.secrets.mkdir(exist_ok=True)
    (sources.secrets / "SECRET_KEY").write_text("from a file", encoding="utf-8")
    assert source_of("secret_key") == str(sources.secrets)
    sources.dotenv("SECRET_KEY=from-env\n").environment(Secret_Key="")
    assert source_of("secret_key") == str(sources.env_file)
    sources.environment(Secret_Key="from the environment")
    assert source_of("secret_key") == "the environment"


def test_a_misspelt_variable_is_named_where_a_setting_is_missing(sources: Sources) -> None:
    """`SECRET_KYE` is why `SECRET_KEY` is missing."""
    sources.environment(**{name: value for name, value in GOOD.items() if name != "SECRET_KEY"}, SECRET_KYE=CANARY)
    message = sources.refused()
    assert "SECRET_KEY: is missing" in message
    assert "SECRET_KYE: is not the name of a setting, and is not read. Did you mean SECRET_KEY?" in message


def test_quotes_that_are_part_of_a_value_are_named(sources: Sources) -> None:
    """What passes a file of variables on may keep them."""
    sources.environment(**GOOD | {"ADMIN_EMAIL": "'operator@service.example'"})
    message = sources.refused()
    assert "ADMIN_EMAIL: is not an e-mail address" in message
    assert "ADMIN_EMAIL: has quotes around its value. Remove them" in message
