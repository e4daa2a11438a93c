"""Every combination of choices renders to files that parse, and holds nothing of what was not chosen."""

import configparser
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.trees import OPTIONS
from tests.baked import (
    COMBINATIONS,
    DATABASES,
    EVERYTHING,
    ROOT,
    BakedProject,
    combination_name,
    compile_python,
    load_yaml,
)
from tests.conftest import Bake

FIRST_LINES = {
    "MIT": "MIT License",
    "Apache-2.0": "Apache License",
    "BSD-3-Clause": "BSD 3-Clause License",
    "Proprietary": "Copyright (c) Your Name. All rights reserved.",
}
FOLLOWS = "down_revision: "
# In tables, the tests that prove a thing.
NAMED_TESTS = re.compile(r"(?<=[|`] )`tests/[^`]*` ")
LEFTOVERS = re.compile(r"\{\{|\{%|\{#|cookiecutter", re.IGNORECASE)


class Option(NamedTuple):
    """Some answers to a prompt, and every word that they alone bring along."""

    prompt: str
    answers: tuple[str, ...]
    words: re.Pattern[str]
    must_name: frozenset[str]
    # Where such a word means something else: texts that the redaction of logs leaves readable, and code of others.
    may_name: frozenset[str] = frozenset()
    needs_pages: bool = False

    def __str__(self) -> str:
        """Its name in the list of tests."""
        return "-".join((self.prompt, *self.answers))


PAGES = Option(
    "browser_pages",
    ("yes",),
    re.compile(
        r"(?i:features[./](?:authorization|browser|pages)|support[./](?:browser|chromium|site)|browser.?session"
        r"|chromium|playwright|markupsafe|swagger|session_forged|consent_|code_reused|__host-)"
        r"|PASSWORD_CONFIRMED|`password_confirmed`|8000/(?:>|(?:account|admin|docs|login)\b)|`/docs`"
    ),
    frozenset({"app/features/installed.py", "docs/logging.md", "SECURITY.md", "pyproject.toml"}),
)
VAULT = Option(
    "sample_vault",
    ("yes",),
    # In capitals, `SECRET_BYTES` is a constant of others.
    re.compile(
        r"(?i:vault|revealed|/reveal\b|secrets:reveal|v1/secrets|secrets:(?:read|write)|secret_(?:created|changed|deleted|unreadable))"
        r"|SECRETS_(?:READ|WRITE)|secret_(?:string|bytes)"
    ),
    frozenset({"app/features/installed.py", "README.md", "SECURITY.md", "app/features/vault/service.py"}),
    frozenset(
        {
            "app/features/pages/kit/static/swagger/swagger-ui-bundle.js",
            "tests/core/logging/test_redaction.py",
            "tests/core/logging/test_secret_shapes.py",
        }
    ),
)
API_KEYS = Option(
    "api_keys",
    ("yes",),
    re.compile(
        r"(?i:features[./]api_keys|/api-keys|api_key_(?:created|leaked|revoked|rotated)|\bapi keys\b)|API_KEYS\b"
    ),
    frozenset({"app/features/installed.py", "README.md", "SECURITY.md", "docs/features/api-keys.md"}),
    frozenset({"app/features/pages/kit/static/swagger/swagger-ui-bundle.js"}),
)
IDENTITY = Option(
    "identity_providers",
    ("yes",),
    re.compile(
        r"(?i:features[./]identity\b|/account/identities|login/(?:with|callback)/|identity_(?:linked|unlinked|provider)|idp_"
        r"|identity providers?\b|linked sign-in)|IDENTITY,"
    ),
    frozenset({"app/features/installed.py", "README.md", "SECURITY.md", "docs/settings.md"}),
    needs_pages=True,
)
TELEMETRY = Option(
    "telemetry",
    ("yes",),
    re.compile(r"(?i:features[./]telemetry|opentelemetry|otel_|otlp|sentry|--extra |crash reports)|TELEMETRY\b"),
    frozenset({"app/features/installed.py", "README.md", "SECURITY.md", "docs/settings.md", "pyproject.toml"}),
)
GITHUB = Option(
    "ci",
    ("github",),
    re.compile(r"(?i:\.github/|dependabot|attestation|on github\b|github actions)"),
    frozenset({"README.md", ".github/dependabot.yml", ".github/workflows/check.yml"}),
    frozenset(  # what authenticators may say of themselves (WebAuthn)
        {
            "app/features/factors/passkeys.py",
            "app/features/pages/kit/static/passkeys.js",
            "docs/features/factors.md",
            "tests/features/factors/passkeys/test_attacks.py",
            "tests/features/factors/passkeys/test_passkeys.py",
            "tests/support/api/authenticator.py",
        }
    ),
)
GITLAB = Option(
    "ci",
    ("gitlab",),
    re.compile(r"(?i:gitlab)"),
    frozenset({"README.md", ".gitlab-ci.yml"}),
    frozenset({"docs/features/identity.md"}),  # people sign in with it
)
DOCKER = Option(
    "deployment",
    ("docker", "kubernetes"),
    re.compile(r"(?i:docker|\bcompose\.yaml|deploy/compose)"),
    frozenset({"README.md", "Dockerfile", "compose.yaml", "docs/deployment-docker.md"}),
)
KUBERNETES = Option(
    "deployment",
    ("kubernetes",),
    re.compile(r"(?i:kubernetes|kubectl|kustomiz)"),
    frozenset({"README.md", "docs/deployment-kubernetes.md", "deploy/kubernetes/base/deployment.yaml"}),
    # The name of a variable that every pod has, and that no message may take for a misspelt setting.
    frozenset({"tests/core/settings/test_report.py"}),
)
NAMED_OPTIONS = (PAGES, VAULT, API_KEYS, IDENTITY, TELEMETRY, GITHUB, GITLAB, DOCKER, KUBERNETES)
# Where Python's own formatting, or the way to update a project, needs them.
MAY_HOLD_BRACES = {".py"}
# Templates that the service, Prometheus or Grafana renders itself, and GitHub's expressions.
OWN_TEMPLATES = re.compile(
    r"app/features/[\w/]*(?:templates|mails)/|app/commands/new_feature/|deploy/monitoring/|\.github/workflows/"
)


@pytest.fixture(scope="module", params=COMBINATIONS, ids=combination_name)
def project(request: pytest.FixtureRequest, bake: Bake) -> BakedProject:
    """A project of each combination."""
    return bake(**request.param)


def parse_editorconfig(text: str) -> None:
    """Read it as what it is: an INI file with a line before its first section."""
    configparser.ConfigParser().read_string(f"[top]\n{text}")


# Most texts are the same in every combination: each is looked at once.
PARSERS: dict[str, Callable[[str], object]] = {
    ".py": compile_python,
    ".yml": load_yaml,
    ".yaml": load_yaml,
    ".json": cache(json.loads),
    ".editorconfig": cache(parse_editorconfig),
}


@cache
def holds(pattern: re.Pattern[str], text: str) -> bool:
    """Whether a text has something of the pattern."""
    return pattern.search(text) is not None


def test_people_can_own_the_code(bake: Bake) -> None:
    """`app` has fewer than 20,000 lines of Python, whatever is added."""
    lines = sum(len(path.read_text("utf-8").splitlines()) for path in (bake().path / "app").rglob("*.py"))
    assert lines < 20_000


def test_files_parse(project: BakedProject) -> None:
    """Python compiles; YAML, JSON, TOML and dotenv files parse; all text is UTF-8 with one line end at its end."""
    for name in project.names():
        path = project.path / name
        text = path.read_bytes().decode("utf-8")
        assert "\r" not in text, name
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), name
        PARSERS.get(path.suffix or path.name, str)(text)
    assert project.toml()["project"]["name"] == "my-secure-api"
    assert None not in project.env().values()


def test_nothing_of_the_template_is_left(project: BakedProject) -> None:
    """No Jinja is left in a rendered file, and no word of Cookiecutter."""
    found = [
        name
        for name in project.names()
        if Path(name).suffix not in MAY_HOLD_BRACES
        and not OWN_TEMPLATES.match(name)
        and holds(LEFTOVERS, project.text(name))
    ]
    assert [name for name in found if name != "README.md"] == []


def test_license(project: BakedProject) -> None:
    """LICENSE is the chosen one alone, in the name of the author, and pyproject.toml says the same."""
    text, name = project.text("LICENSE"), project.answers["license"]
    metadata = project.toml()["project"]
    assert text.strip().splitlines()[0].strip() == FIRST_LINES[name]
    assert "Your Name" in text
    assert [other for other, line in FIRST_LINES.items() if line in text] == [name]
    assert metadata["license"] == ("LicenseRef-Proprietary" if name == "Proprietary" else name)
    assert ("Private :: Do Not Upload" in metadata.get("classifiers", [])) == (name == "Proprietary")


def test_mit_text_is_the_templates_own(bake: Bake) -> None:
    """The MIT text is that of the template's own LICENSE, but for the name."""
    rendered = bake(**EVERYTHING).text("LICENSE").replace("Your Name", "X")
    own = re.sub(r"(?m)^Copyright .*$", "Copyright (c) X", (ROOT / "LICENSE").read_text(encoding="utf-8"))
    assert rendered == own


def test_database(project: BakedProject) -> None:
    """Only the chosen database is set, and its driver is among what the service needs to run."""
    url = project.env()["DATABASE_URL"] or ""
    runtime = " ".join(project.toml()["project"]["dependencies"])
    if project.answers["database"] == "sqlite":
        assert url.startswith("sqlite:///")
        assert "aiosqlite" in runtime
    else:
        assert url.startswith("postgresql://app:")
        assert "aiosqlite" not in runtime
        assert "asyncpg" in runtime


def test_database_changes_only_the_skin(bake: Bake) -> None:
    """The choice of the database changes no line of code."""
    sqlite, postgresql = (bake(**EVERYTHING | {"database": name}) for name in DATABASES)
    different = {
        path.relative_to(sqlite.path).as_posix()
        for path in sqlite.files()
        if path.read_bytes() != (postgresql.path / path.relative_to(sqlite.path)).read_bytes()
    }
    assert different <= {".env", ".env.example", "README.md", "pyproject.toml"}


@pytest.mark.parametrize("option", NAMED_OPTIONS, ids=str)
def test_no_means_no_trace(project: BakedProject, option: Option) -> None:
    """Neither a file nor a line names what was left out; where it was chosen, many do."""
    named = {name for name in project.names() if holds(option.words, name) or holds(option.words, project.text(name))}
    has_pages = not option.needs_pages or project.answers["browser_pages"] == "yes"
    if project.answers[option.prompt] in option.answers and has_pages:
        assert named >= option.must_name
    else:
        assert named <= option.may_name


def _nothing(prompt: str) -> str:
    """The answer that leaves out what the prompt asks about."""
    return next(answer for answer in ("no", "none", OPTIONS[prompt][-1]) if answer in OPTIONS[prompt])


@pytest.mark.parametrize("prompt", OPTIONS)
def test_an_option_changes_only_the_lines_that_name_it(bake: Bake, prompt: str) -> None:
    """A file that stays is the same but for lines that are gone, for what a migration follows, and for tests named."""
    without, with_it = (bake(**EVERYTHING | {prompt: answer}) for answer in (_nothing(prompt), EVERYTHING[prompt]))
    for name in without.names():
        if name != ".env":
            texts = (NAMED_TESTS.sub("", baked.text(name)).splitlines() for baked in (with_it, without))
            lines, kept = ((line for line in text if not line.startswith(FOLLOWS)) for text in texts)
            assert all(line in lines for line in kept), name


def test_the_migrations_are_one_chain(project: BakedProject) -> None:
    """Each follows the one before it, whatever was left out in between."""
    texts = [path.read_text("utf-8") for path in sorted((project.path / "migrations" / "versions").glob("*.py"))]
    own = [re.findall(r'(?m)^revision: str = "(\w+)"$', text) for text in texts]
    followed = [re.findall(r'(?m)^down_revision: str \| None = "?(\w+)"?$', text) for text in texts]
    assert followed == [["None"], *own[:-1]]


def test_placeholders_are_only_in_the_example(project: BakedProject) -> None:
    """The text of a placeholder is in no setting of `.env`, and its names are those of the example."""
    assert "replace-me" in project.text(".env.example")
    assert "replace-me" not in project.text(".env")
    assert list(project.env()) == list(project.env(".env.example"))


def test_update_keeps_the_key(project: BakedProject) -> None:
    """Cruft is told to leave `.env` alone, and git to ignore it."""
    assert ".env" in project.toml()["tool"]["cruft"]["skip"]
    assert ".env" in Path(project.path / ".gitignore").read_text("utf-8").splitlines()
