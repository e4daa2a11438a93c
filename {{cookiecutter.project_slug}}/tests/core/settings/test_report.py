"""`app/core/settings/report.py`: which variables of the environment are probably meant as settings."""

import pytest

from app.core.settings.model import Settings
from app.core.settings.report import misspelt, quoted

FIELDS = Settings.model_fields


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("REDIS_ULR", "REDIS_URL"),
        ("ALLOWED_HOST", "ALLOWED_HOSTS"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("ENVIROMENT", "ENVIRONMENT"),
        ("rate_limit_sign_in", "RATE_LIMIT_SIGNIN"),
    ],
)
def test_a_name_that_is_nearly_a_setting_is_misspelt(name: str, meant: str) -> None:
    """Unless that setting is there too: then the other name belongs to another program."""
    assert [(found.setting, found.hint) for found in misspelt({name: "x"}, FIELDS)] == [
        (name.upper(), f"Did you mean {meant}?")
    ]
    assert misspelt({name: "x", meant: "x"}, FIELDS) == ()
    assert misspelt({name: ""}, FIELDS) == ()


@pytest.mark.parametrize(
    "name",
    ["REDIS_HOST", "REDIS_PORT", "KUBERNETES_SERVICE_HOST", "DATABASE_NAME", "HOSTNAME", "LOGNAME", "SECRET_KEY_FILE"],
)
def test_names_of_the_platform_are_not_misspelt(name: str) -> None:
    """What containers, shells and other programs set."""
    assert misspelt({name: "x"}, FIELDS) == ()


def test_quotes_around_the_value_of_a_setting_are_found() -> None:
    """In pairs, of settings alone."""
    values = {
        "APP_NAME": '"API"',
        "MAIL_FROM": "'a@b.example'",
        "LOG_LEVEL": "'info",
        "OTHER": "'x'",
        "PUBLIC_URL": "'",
    }
    assert [found.setting for found in quoted(values, FIELDS)] == ["APP_NAME", "MAIL_FROM"]
