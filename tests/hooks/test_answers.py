"""Hostile and unusual answers: refused with nothing left on disk, or plain text in the result."""

import tomllib

import pytest
from dotenv import dotenv_values
from markdown_it import MarkdownIt

from tests.baked import compile_python
from tests.cli import Bake, Baked

HARMLESS = [
    'The "Quoted" API',
    "It's O'Reilly's",
    "back\\slash \\n \\u0041",
    "${HOME} $(id) `id` %PATH%",
    "'''; import os; os.abort() '''",
    '""" + str(1/0) + """',
    "]] [tool.evil] = # x",
    "key: value # - [yaml]",
    "<script>alert(1)</script> & *bold* [x](javascript:y)",
    "Grüße 🚀 日本語",
    "שלום עולם",
    "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627 \U0001f468\u200d\U0001f467 \U0001fa77",
    "-rf --help",
    "# heading | table ~~~",
    "1. list",
    "$HOME and $$",
    "a #comment",
    "#comment",
    '"',
]
REFUSED = [
    ("project_name", ""),
    ("project_name", "   "),
    ("project_name", "two\nlines"),
    ("project_name", "nul\x01control"),
    ("project_name", "x" * 300),
    ("project_name", "right\u202eleft"),
    ("author_name", "ad\u200cmin"),
    ("project_name", "{{ 7 * 7 }}"),
    ("description", "{% raw %}"),
    ("description", "line\u2028separator"),
    ("author_name", "bell\x07"),
    ("project_slug", "../outside"),
    ("project_slug", "/absolute"),
    ("project_slug", "a/b"),
    ("project_slug", "."),
    ("project_slug", "Upper"),
    ("project_slug", "under_score"),
    ("project_slug", "-leading"),
    ("project_slug", "trailing-"),
    ("project_slug", "a--b"),
    ("project_slug", "1digit"),
    ("project_slug", "x" * 300),
    ("project_slug", "con"),
    ("project_slug", "class"),
    ("project_slug", "json"),
    ("project_slug", "fastapi"),
    ("project_slug", "app"),
    ("project_slug", "name;rm"),
    ("project_slug", "näme"),
    ("admin_email", "nobody"),
    ("admin_email", "a@b"),
    ("admin_email", "a@example.com\nSECRET_KEY=x"),
    ("admin_email", "a b@example.com"),
]


def texts_of(baked: Baked) -> tuple[str, str, str, str]:
    """Name, description and author as the tools that read the files see them, and the README's text."""
    project = tomllib.loads((baked.project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    env = dotenv_values(baked.project / ".env")
    readme = (baked.project / "README.md").read_text(encoding="utf-8")
    return str(env["APP_NAME"]), project["description"], project["authors"][0]["name"], readme


@pytest.mark.parametrize("text", HARMLESS)
def test_an_unusual_text_arrives_as_it_is(bake_cli: Bake, text: str) -> None:
    """Quotes, backslashes, shell, Python, TOML, YAML, HTML and other scripts stay text in every file."""
    baked = bake_cli(project_name=text, project_slug="unusual", description=text, author_name=text)
    assert baked.exit_code == 0, baked.terminal
    name, description, author, readme = texts_of(baked)
    assert (name, description, author) == (text, text, text)
    heading = MarkdownIt().parse(readme)[1]
    assert heading.children is not None
    assert {token.type for token in heading.children} <= {"text", "text_special"}
    assert "".join(token.content for token in heading.children) == text
    for path in baked.project.rglob("*.py"):
        compile_python(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["My Secure API", "Grüße 🚀 日本語", "-rf --help; a=b & c|d", "key: value @ 50% (x)?"])
def test_docker_reads_env_as_the_service_does(bake_cli: Bake, name: str) -> None:
    """`docker run --env-file` keeps quotes as part of a value, so that only texts that need them have any."""
    baked = bake_cli(project_name=name, project_slug="unusual", admin_email="ops+api@example.com")
    lines = (baked.project / ".env").read_text(encoding="utf-8").splitlines()
    # https://docs.docker.com/reference/cli/docker/container/run/#env: all that follows the first `=`, as it is.
    as_docker = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert as_docker == dotenv_values(baked.project / ".env")
    assert (as_docker["APP_NAME"], as_docker["ADMIN_EMAIL"]) == (name, "ops+api@example.com")


@pytest.mark.parametrize(("prompt", "answer"), REFUSED)
def test_a_bad_answer_is_refused_and_leaves_nothing(bake_cli: Bake, prompt: str, answer: str) -> None:
    """The message names the prompt and an answer that works, and no file or folder stays."""
    answers = {"project_slug": "refused", prompt: answer}
    baked = bake_cli(**answers)
    assert baked.exit_code != 0
    assert f"ERROR: {prompt} " in baked.terminal
    assert "Example: " in baked.terminal
    assert baked.is_empty
    assert not (baked.folder.parent / "outside").exists()


def test_all_bad_answers_are_named_at_once(bake_cli: Bake) -> None:
    """Nobody answers every prompt again for each mistake."""
    baked = bake_cli(project_name=" ", project_slug="No Slug", admin_email="nobody", description="x" * 300)
    named = [
        line.split()[1] for line in baked.terminal.splitlines() if line.startswith("ERROR: ") and "Example" in line
    ]
    assert sorted(set(named)) == ["admin_email", "description", "project_name", "project_slug"]
    assert baked.is_empty


def test_an_answer_typed_at_the_prompt_may_hold_jinja(bake_cli: Bake) -> None:
    """What is typed is data: it is not run, and arrives as it was typed."""
    baked = bake_cli("-v", stdin="{{ 7 * 7 }} API\ntyped\n\n\n\n1\n1\ny\ny\nn\nn\nn\n1\n1\n")
    assert baked.exit_code == 0, baked.terminal
    assert texts_of(baked)[0] == "{{ 7 * 7 }} API"


def test_the_prompts_read_like_questions(bake_cli: Bake) -> None:
    """Each prompt has words for people, and each choice says what it changes."""
    baked = bake_cli("-v", stdin="\n" * 14)
    assert baked.exit_code == 0, baked.terminal
    for words in (
        "What is the service called?",
        "Which database does it start with?",
        "one file, nothing to install",
        "Should people sign in with a browser?",
        "no: a pure API",
        "Should it have a sample feature?",
        "no: only what every service needs",
        "Should programs act for users with API keys?",
        "Should people sign in with identity providers too?",
        "Should it send traces and crashes to collectors?",
        "What is it deployed with?",
        "Where are its tests run?",
    ):
        assert words in baked.terminal
