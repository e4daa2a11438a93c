"""The functions of the pre-generation hook."""

import runpy
import sys
from itertools import product
from types import ModuleType

import pytest

from tests.baked import ROOT


def test_the_examples_are_answers_that_work(pre_hook: ModuleType) -> None:
    """What a message recommends is accepted."""
    assert pre_hook.problems(pre_hook.EXAMPLES, {}) == []


@pytest.mark.parametrize("slug", ["a", "my-secure-api", "api2", "x" * 50])
def test_accepts_slugs_that_name_a_folder_everywhere(pre_hook: ModuleType, slug: str) -> None:
    """Lower-case letters, digits and single hyphens."""
    assert list(pre_hook.slug_problems(slug, 50)) == []


@pytest.mark.parametrize(
    ("slug", "reason"),
    [
        ("", "must be lower-case"),
        ("x" * 51, "51 characters"),
        ("Api", "must be lower-case"),
        ("api-", "must be lower-case"),
        ("\uff41\uff50\uff49", "must be lower-case"),
        ("com1", "Windows"),
        ("lambda", "word of Python"),
        ("tests", "part of the project"),
        ("asyncio", "standard library"),
        ("pydantic-settings", "package that the project installs"),
    ],
)
def test_says_why_a_slug_is_refused(pre_hook: ModuleType, slug: str, reason: str) -> None:
    """Each reason has its own words."""
    assert any(reason in problem for problem in pre_hook.slug_problems(slug, 50))


@pytest.mark.parametrize("address", ["a@example.com", "first.last+tag@sub.example.org", "o'neil@example.com"])
def test_accepts_addresses(pre_hook: ModuleType, address: str) -> None:
    """Addresses as people have them."""
    assert list(pre_hook.email_problems(address, 254)) == []


@pytest.mark.parametrize(
    "address", ["", "a", "@b.c", "a@b", "a@b.1", "a..b@c.de", "a@-b.de", "a@b.de ", "a@b.de\n", "x" * 65 + "@b.de"]
)
def test_refuses_what_is_no_address(pre_hook: ModuleType, address: str) -> None:
    """Nothing that a mail server would not take."""
    assert list(pre_hook.email_problems(address, 254)) != []


@pytest.mark.parametrize(
    "character", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\u0085", "\u2028", "\u202e", "\ud800", "\ufeff"]
)
def test_refuses_characters_that_are_no_text_of_one_line(pre_hook: ModuleType, character: str) -> None:
    """Control characters, line breaks, bidirectional overrides, half characters."""
    assert any(f"U+{ord(character):04X}" in problem for problem in pre_hook.text_problems(f"a{character}b", 80))


def test_answers_and_names_have_one_rule(pre_hook: ModuleType) -> None:
    """What the hook accepts becomes `APP_NAME`, so that nothing may pass here and stop the boot there."""
    path = ROOT / "{{cookiecutter.project_slug}}" / "app" / "core" / "names.py"
    is_name = runpy.run_path(str(path))["is_name"]
    characters = [chr(code) for code in range(sys.maxunicode + 1) if not chr(code).isspace()]
    samples = ["a", "\u0631", "\u0301", "\u0dca", "\U0001f468", "\u2194", "\u0378", "1", "\u06f1", " x"]
    joined = ["".join(parts) for parts in product(samples, ["\u200c", "\u200d\u200d"], [*samples, ""])]
    for text in [*characters, *joined]:
        assert is_name(text) is (list(pre_hook.text_problems(text, 80)) == []), ascii(text)


def test_refuses_a_choice_that_is_none(pre_hook: ModuleType) -> None:
    """A replayed answer was never checked by Cookiecutter."""
    (problem,) = pre_hook.problems({**pre_hook.EXAMPLES, "license": "GPL"}, {})
    assert problem.startswith("license must be one of MIT")


@pytest.mark.parametrize("answer", ["yes", "maybe", 1, 0, None, [True]])
def test_refuses_what_is_neither_yes_nor_no(pre_hook: ModuleType, answer: object) -> None:
    """Cookiecutter makes true or false of what is typed; a replayed answer can be anything."""
    (problem,) = pre_hook.problems({**pre_hook.EXAMPLES, "sample_vault": answer}, {})
    assert problem == "sample_vault must be one of yes, no. Example: yes"
    assert pre_hook.problems({**pre_hook.EXAMPLES, "sample_vault": False}, {}) == []


def test_the_list_of_dependencies_has_what_the_project_installs(pre_hook: ModuleType) -> None:
    """A project cannot be called like a package that it depends on."""
    skin = (ROOT / "{{cookiecutter.project_slug}}" / "pyproject.toml").read_text(encoding="utf-8")
    lines = [line.strip() for line in skin.splitlines()]
    named = {line.strip('",').split(">=")[0].split("[")[0] for line in lines if line.startswith('"') and ">=" in line}
    assert len(named) > 20
    assert named <= pre_hook.DEPENDENCIES
