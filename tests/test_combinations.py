"""Every combination of choices renders to files that parse, and holds nothing of what was not chosen."""

import ast
import configparser
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.baked import COMBINATIONS, DATABASES, ROOT, BakedProject, combination_name
from tests.conftest import Bake

FIRST_LINES = {
    "MIT": "MIT License",
    "Apache-2.0": "Apache License",
    "BSD-3-Clause": "BSD 3-Clause License",
    "Proprietary": "Copyright (c) Your Name. All rights reserved.",
}
LEFTOVERS = re.compile(r"\{\{|\{%|\{#|cookiecutter", re.IGNORECASE)
# Every word that only the sample vault brings along; in capitals, `SECRET_BYTES` is a constant of others.
VAULT = re.compile(
    r"(?i:vault|reveal|v1/secrets|secrets:(?:read|write)|secret_(?:created|changed|deleted|unreadable))"
    r"|SECRETS_(?:READ|WRITE)|secret_(?:string|bytes)"
)
# Where such a word means something else: texts that the redaction of logs leaves readable.
MAY_NAME_THE_VAULT = {"tests/core/test_secret_shapes.py"}
# How the migration after the vault's goes on without it.
FOLLOWS = 'down_revision: str | None = "0005"'
# Where Python's own formatting, or the way to update a project, needs them.
MAY_HOLD_BRACES = {".py"}
# The service's own templates, which it renders itself.
OWN_TEMPLATES = "app/features/accounts/mails/"


@pytest.fixture(params=COMBINATIONS, ids=combination_name)
def project(request: pytest.FixtureRequest, bake: Bake) -> BakedProject:
    """A project of each combination."""
    return bake(**request.param)


def parse_python(text: str) -> None:
    """Compile it."""
    compile(ast.parse(text), "<rendered>", "exec")


def parse_editorconfig(text: str) -> None:
    """Read it as what it is: an INI file with a line before its first section."""
    configparser.ConfigParser().read_string(f"[top]\n{text}")


PARSERS: dict[str, Callable[[str], object]] = {
    ".py": parse_python,
    ".yml": yaml.safe_load,
    ".yaml": yaml.safe_load,
    ".json": json.loads,
    ".editorconfig": parse_editorconfig,
}


def test_files_parse(project: BakedProject) -> None:
    """Python compiles; YAML, JSON, TOML and dotenv files parse; all text is UTF-8 with one line end at its end."""
    for path in project.files():
        text = path.read_bytes().decode("utf-8")
        assert "\r" not in text, path
        assert not text or (text.endswith("\n") and not text.endswith("\n\n")), path
        PARSERS.get(path.suffix or path.name, str)(text)
    assert project.toml()["project"]["name"] == "my-secure-api"
    assert None not in project.env().values()


def test_nothing_of_the_template_is_left(project: BakedProject) -> None:
    """No Jinja is left in a rendered file, and no word of Cookiecutter."""
    found = [
        path
        for path in project.files()
        if path.suffix not in MAY_HOLD_BRACES
        and OWN_TEMPLATES not in path.as_posix()
        and LEFTOVERS.search(path.read_text("utf-8"))
    ]
    assert [path.relative_to(project.path).as_posix() for path in found if path.name != "README.md"] == []


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
    rendered = bake(license="MIT", database="sqlite", sample_vault="yes").text("LICENSE").replace("Your Name", "X")
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
    sqlite, postgresql = (bake(license="MIT", database=name, sample_vault="yes") for name in DATABASES)
    different = {
        path.relative_to(sqlite.path).as_posix()
        for path in sqlite.files()
        if path.read_bytes() != (postgresql.path / path.relative_to(sqlite.path)).read_bytes()
    }
    assert different <= {".env", ".env.example", "README.md", "pyproject.toml"}


def test_no_vault_means_no_trace_of_it(project: BakedProject) -> None:
    """Neither a file nor a line names it, whatever the case; where it was chosen, many do."""
    named = {
        path.relative_to(project.path).as_posix()
        for path in project.files()
        if VAULT.search(path.relative_to(project.path).as_posix()) or VAULT.search(path.read_text("utf-8"))
    }
    if project.answers["sample_vault"] == "no":
        assert named <= MAY_NAME_THE_VAULT
    else:
        assert {"app/main.py", "README.md", "pyproject.toml", "app/features/vault/service.py"} <= named


def test_the_vault_changes_only_the_lines_that_name_it(bake: Bake) -> None:
    """A file that stays is the same but for lines that are gone, and no other file comes or goes."""
    without, with_it = (bake(license="MIT", database="sqlite", sample_vault=answer) for answer in ("no", "yes"))
    assert FOLLOWS in without.text("migrations/versions/0007_authorization.py")
    for path in without.files():
        name = path.relative_to(without.path).as_posix()
        if name != ".env":
            # The migration that follows the vault's follows the one before, then.
            lines = iter(with_it.text(name).replace('down_revision: str | None = "0006"', FOLLOWS).splitlines())
            assert all(line in lines for line in without.text(name).splitlines()), name


def test_placeholders_are_only_in_the_example(project: BakedProject) -> None:
    """The text of a placeholder is in no setting of `.env`, and its names are those of the example."""
    assert "replace-me" in project.text(".env.example")
    assert "replace-me" not in project.text(".env")
    assert list(project.env()) == list(project.env(".env.example"))


def test_update_keeps_the_key(project: BakedProject) -> None:
    """Cruft is told to leave `.env` alone, and git to ignore it."""
    assert ".env" in project.toml()["tool"]["cruft"]["skip"]
    assert ".env" in Path(project.path / ".gitignore").read_text("utf-8").splitlines()
