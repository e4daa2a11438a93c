"""`manage check`: findings for people and for pipelines."""

import json
import secrets
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from app.manage import cli

CANARY = "canary-value-never-shown"
EARLIER_KEY = "Zq7mTt0rWvX9bLc2NfHs5JyGd8Ke4PaUpR3xVn6s"  # gitleaks:allow  # made up, and the same in every run

GOOD = {
    "ADMIN_EMAIL": "operator@service.test",
    "SECRET_KEY": secrets.token_urlsafe(64),
    "DATABASE_URL": "postgresql://app:6h3JfKq9@127.0.0.1/app",
    "REDIS_URL": "redis://localhost:6379/0",
    "SMTP_URL": "smtps://smtp.service.test",
    "PUBLIC_URL": "https://api.service.test",
    "TRUSTED_PROXIES": "10.0.0.5",
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "Run":
    """Run the command with exactly these settings."""
    return Run(monkeypatch, tmp_path)


class Run:
    """The command, with settings given by the environment."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.monkeypatch = monkeypatch
        self.env_file = tmp_path / "no.env"

    def __call__(self, *arguments: str, **settings: str) -> Result:
        """Run it."""
        for name, value in {**GOOD, **settings}.items():
            self.monkeypatch.setenv(name, value)
        return CliRunner().invoke(cli, ["check", *arguments])

    def ids(self, *arguments: str, **settings: str) -> list[str]:
        """The ids of the findings."""
        return [
            finding["id"] for finding in json.loads(self("--deploy", "--format", "json", *arguments, **settings).stdout)
        ]


def test_good_settings_have_no_finding(run: Run) -> None:
    """Nothing to say, exit code 0, in every format."""
    assert "Nothing to say" in run("--deploy").stdout
    assert json.loads(run("--deploy", "--format", "json").stdout) == []
    assert json.loads(run("--deploy", "--format", "sarif").stdout)["runs"][0]["results"] == []
    assert run("--deploy", "--fail-level", "info").exit_code == 0


@pytest.mark.asvs("13.2.3", "13.4.2")
def test_unusable_settings_are_errors_that_show_no_value(run: Run) -> None:
    """Every unusable setting is named at once, with an example, and no value is shown."""
    result = run(
        "--format", "json", SECRET_KEY=CANARY[:10], ITEMS_PER_USER=CANARY, DATABASE_URL=f"mysql://u:{CANARY}@h/x"
    )
    findings = json.loads(result.stdout)
    assert result.exit_code == 1
    assert {finding["setting"] for finding in findings} == {"SECRET_KEY", "ITEMS_PER_USER", "DATABASE_URL"}
    assert all(set(finding) == {"id", "level", "setting", "message", "hint"} for finding in findings)
    assert CANARY not in result.output


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"ENVIRONMENT": "development"}, ["deploy.E001", "deploy.W003"]),
        (
            {"ENVIRONMENT": "development", "PUBLIC_URL": "http://127.0.0.1"},
            ["deploy.E001", "deploy.E002", "deploy.W003"],
        ),
        ({"ALLOWED_HOSTS": "*.service.test"}, ["deploy.W001"]),
        ({"ADMIN_EMAIL": "admin@example.com"}, ["deploy.W002"]),
        ({"LOG_LEVEL": "debug"}, ["deploy.W004"]),
        ({"DATABASE_URL": "sqlite:///app.db"}, ["deploy.W005"]),
        ({"DATABASE_URL": "postgresql://app:6h3JfKq9@db.service.test/app"}, ["deploy.W006"]),
        ({"DATABASE_URL": "postgresql://app:6h3JfKq9@localhost/app?host=db.service.test&ssl=disable"}, ["deploy.W006"]),
        (
            {"DATABASE_URL": "postgresql://app:6h3JfKq9@/app?host=localhost:5432&host=db.service.test:5432"},
            ["deploy.W006"],
        ),
        ({"DATABASE_URL": "postgresql://app:6h3JfKq9@/app?host=/run/postgresql"}, []),
        ({"DATABASE_URL": "postgresql://app:6h3JfKq9@db.service.test/app?ssl=verify-full&sslrootcert=system"}, []),
        ({"DATABASE_URL": "postgresql://postgres:6h3JfKq9@127.0.0.1/app"}, ["deploy.W011"]),
        ({"DATABASE_URL": "postgresql://127.0.0.1/app?user=postgres&password=6h3JfKq9"}, ["deploy.W011"]),
        ({"DATABASE_URL": "postgresql://postgres.ref:6h3JfKq9@127.0.0.1/app?pgbouncer=true"}, ["deploy.W011"]),
        ({"REDIS_URL": ""}, ["deploy.W007"]),
        ({"REDIS_URL": "redis://:6h3JfKq9zz@redis.service.test"}, ["deploy.W008"]),
        ({"OAUTH_PASSWORD_GRANT": "true"}, ["deploy.W009"]),
        ({"ENVIRONMENT": "development", "SMTP_URL": ""}, ["deploy.E001", "deploy.E004", "deploy.W003"]),
        ({"MAIL_FROM": "no-reply@example.com"}, ["deploy.W010"]),
        ({"MAIL_FROM": "no-reply@service.test"}, []),
        ({"TRUSTED_PROXIES": ""}, ["deploy.I001"]),
        ({"SECRET_KEY_FALLBACKS": EARLIER_KEY}, ["deploy.I002"]),
        ({"RATE_LIMIT_DEFAULT": "1000000/second"}, ["deploy.W012"]),
        ({"HSTS_INCLUDE_SUBDOMAINS": "false"}, ["deploy.I003"]),
        ({"REQUIRE_SECOND_FACTOR_FOR": "none"}, ["deploy.W014"]),
    ],
    ids=repr,
)
def test_names_what_production_should_not_have(run: Run, settings: dict[str, str], expected: list[str]) -> None:
    """Each weakness has an id of its own, and nothing else is found."""
    assert sorted(run.ids(**settings)) == expected


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("REDIS_URL", f"rediss://:{CANARY}@redis.service.test?ssl_cert_reqs=none"),
        ("RATE_LIMIT_SIGNIN", "1000000/second"),
        ("TRUSTED_PROXIES", "2000::/7"),
        ("SMTP_URL", "smtp://mailer:mailer@smtp.service.test"),
    ],
)
def test_what_production_refuses_is_an_error_elsewhere_too(run: Run, setting: str, value: str) -> None:
    """`--deploy` judges as for production, whatever `ENVIRONMENT` says; no finding shows a value."""
    result = run("--deploy", "--format", "json", ENVIRONMENT="development", **{setting: value})
    found = {(finding["id"], finding["setting"]) for finding in json.loads(result.stdout)}
    assert ("deploy.E005", setting) in found
    assert result.exit_code == 1
    assert CANARY not in result.output
    assert run("--format", "json", ENVIRONMENT="development", **{setting: value}).stdout == "[]\n"


def test_a_misspelt_variable_is_a_warning(run: Run) -> None:
    """The setting that was meant has its default."""
    (finding,) = json.loads(run("--format", "json", REDIS_URL="", REDIS_ULR=CANARY).stdout)
    assert (finding["id"], finding["setting"], finding["hint"]) == (
        "settings.W001",
        "REDIS_ULR",
        "Did you mean REDIS_URL?",
    )


def test_an_env_that_others_can_read_is_an_error(run: Run) -> None:
    """`.env` holds secrets."""
    run.env_file.touch(0o644)
    run.env_file.chmod(0o644)
    assert run.ids() == ["deploy.E003"]
    run.env_file.chmod(0o600)
    assert run.ids() == []


def test_the_exit_code_follows_the_level(run: Run) -> None:
    """A warning fails where warnings are asked to; wrong usage is 2."""
    assert run("--deploy", LOG_LEVEL="debug").exit_code == 0
    assert run("--deploy", "--fail-level", "warning", LOG_LEVEL="debug").exit_code == 1
    assert run("--fail-level", "nonsense").exit_code == 2


def test_sarif_names_rule_level_and_place(run: Run) -> None:
    """What code scanning services need."""
    report = json.loads(run("--deploy", "--format", "sarif", OAUTH_PASSWORD_GRANT="true").stdout)
    (result,) = report["runs"][0]["results"]
    assert report["version"] == "2.1.0"
    assert (result["ruleId"], result["level"]) == ("deploy.W009", "warning")
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == ".env"


def test_the_text_says_what_to_do(run: Run) -> None:
    """Level, setting, what, and the hint; no colour where the output is no terminal."""
    text = run("--deploy", OAUTH_PASSWORD_GRANT="true").stdout
    assert "warning OAUTH_PASSWORD_GRANT is on" in text
    assert "/api/v1/signin" in text
    assert "\x1b" not in text
