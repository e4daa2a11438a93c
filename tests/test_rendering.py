"""What is rendered: the exact files, each of them sound, whatever was chosen."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from dotenv import dotenv_values

from scripts.bench import MOST_SECONDS, measure
from scripts.trees import OPTION_SETS, TREES, tree
from tests.conftest import ROOT, Baked

TEMPLATE = ROOT / "{{cookiecutter.project_slug}}"
LEFTOVER = re.compile(r"cookiecutter\.|\{%|\{\{ ?cookiecutter")


@pytest.mark.parametrize("name", OPTION_SETS)
def test_the_files_are_exactly_those_of_the_list(name: str, projects: dict[tuple[str, str], Baked]) -> None:
    """No file comes or goes unseen; `make trees` writes the lists anew."""
    project = projects["MIT", OPTION_SETS[name]["database"]].project
    assert tree(project) == (TREES / f"{name}.txt").read_text(encoding="utf-8").split()


def test_every_file_of_a_known_kind_can_be_read_as_what_it_is(baked: Baked) -> None:
    """Python compiles; TOML, YAML and dotenv parse."""
    assert baked.exit_code == 0, baked.terminal
    kinds = set()
    for path in sorted(baked.project.rglob("*")):
        kinds.add(path.suffix)
        if path.suffix == ".py":
            compile(path.read_text(encoding="utf-8"), path.name, "exec")
        elif path.suffix == ".toml":
            tomllib.loads(path.read_text(encoding="utf-8"))
        elif path.suffix in {".yaml", ".yml"}:
            yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {".py", ".toml", ".md"} <= kinds
    assert None not in dotenv_values(baked.project / ".env").values()


def test_nothing_of_the_template_is_left_over(baked: Baked) -> None:
    """No placeholder and no line of Jinja is in a rendered text."""
    for path in baked.project.rglob("*"):
        if path.is_file() and path.suffix != ".mako":
            found = LEFTOVER.search(path.read_text(encoding="utf-8"))
            assert found is None, f"{path}: {found}"


@pytest.mark.parametrize(
    ("chosen", "other"),
    [("sqlite", "postgresql://"), ("postgresql", "DATABASE_URL=sqlite")],
    ids=["sqlite", "postgresql"],
)
def test_the_env_names_the_chosen_database_alone(
    chosen: str, other: str, projects: dict[tuple[str, str], Baked]
) -> None:
    """The database that was not chosen is in neither `.env` nor its example."""
    project = projects["MIT", chosen].project
    for name in (".env", ".env.example"):
        text = (project / name).read_text(encoding="utf-8")
        assert f"DATABASE_URL={chosen}" in text
        assert other not in text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MIT", "Permission is hereby granted"),
        ("Apache-2.0", "Apache License"),
        ("BSD-3-Clause", "Redistribution and use in source and binary forms"),
        ("Proprietary", "All rights reserved"),
    ],
)
def test_the_licence_is_the_chosen_one(name: str, words: str, projects: dict[tuple[str, str], Baked]) -> None:
    """LICENSE and pyproject.toml agree with the answer; a proprietary project cannot be uploaded by mistake."""
    project = projects[name, "sqlite"].project
    assert words in (project / "LICENSE").read_text(encoding="utf-8")
    metadata = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert metadata["license"] == ("LicenseRef-Proprietary" if name == "Proprietary" else name)
    assert ("Private :: Do Not Upload" in metadata.get("classifiers", [])) == (name == "Proprietary")


@pytest.mark.parametrize("path", sorted(TEMPLATE.rglob("*.py")), ids=lambda path: path.relative_to(TEMPLATE).as_posix())
def test_the_code_of_the_template_is_plain_python(path: Path) -> None:
    """Code is copied, not rendered: it parses where it stands, and holds no Jinja."""
    source = path.read_text(encoding="utf-8")
    ast.parse(source)
    assert "{%" not in source
    assert "cookiecutter" not in source


def test_code_is_copied_byte_for_byte(default: Baked) -> None:
    """What is tested in the template is what the user gets."""
    for path in TEMPLATE.rglob("*.py"):
        assert (default.project / path.relative_to(TEMPLATE)).read_bytes() == path.read_bytes()


def test_an_update_of_the_template_leaves_the_secret_key_alone(default: Baked) -> None:
    """`cruft update` renders the project anew, with another key; the project tells it to skip `.env`."""
    assert tomllib.loads((default.project / "pyproject.toml").read_text())["tool"]["cruft"] == {"skip": [".env"]}


def test_rendering_is_quick(capfd: pytest.CaptureFixture[str]) -> None:
    """A bake, hooks and all, takes at most 0.15 s; the fastest of a few, for a busy machine is not a slow template."""
    assert min(measure(rounds=5)) <= MOST_SECONDS
    capfd.readouterr()
