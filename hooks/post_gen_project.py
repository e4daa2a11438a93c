"""Remove what was not chosen, write `.env` with secrets that exist nowhere else, and say what comes next.

Cookiecutter keeps a copy of every answer and of this rendered file, so no secret is part of either: each is drawn here,
in this process. A failure makes Cookiecutter remove the project, so nothing here needs a network or another program.
"""

import json
import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

# The answers, as data: in a raw string of JSON, whatever they hold stays text.
ANSWERS = r"""{{ cookiecutter | tojson }}"""

EXAMPLE = Path(".env.example")
ENV = Path(".env")
OWNER_ONLY = 0o600
# O_EXCL refuses a link too; O_NOFOLLOW says so once more where the platform has it. O_BINARY is Windows's.
CREATE_ANEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

PLACEHOLDER = "replace-me"
SECRET_BYTES = 64
# Which settings of the example hold a placeholder, by the database that was chosen.
SECRET_SETTINGS = {"sqlite": ("SECRET_KEY",), "postgresql": ("SECRET_KEY", "DATABASE_URL")}

# What a project without the sample vault does not have. Each file by its name, for a folder could hold the user's own.
VAULT_FILES = (
    "app/features/pages/account_vault.py",
    "app/features/pages/templates/vault.html",
    "app/features/pages/templates/vault_new.html",
    "app/features/pages/templates/vault_revealed.html",
    "app/features/vault/__init__.py",
    "app/features/vault/models.py",
    "app/features/vault/routes.py",
    "app/features/vault/schemas.py",
    "app/features/vault/service.py",
    "migrations/versions/0005_vault.py",
    "tests/features/pages/test_account_vault.py",
    "tests/features/vault/__init__.py",
    "tests/features/vault/steps.py",
    "tests/features/vault/test_reseal.py",
    "tests/features/vault/test_reveal.py",
    "tests/features/vault/test_sealed.py",
    "tests/features/vault/test_secrets.py",
)
LINES, PARAGRAPHS = "\n", "\n\n"
# Where the files that stay speak of it: what goes is each line, or each paragraph, that holds the text, and how many.
VAULT_MENTIONS = (
    ("SECURITY.md", LINES, "`tests/features/vault/`", 3),
    ("app/access/permissions.py", LINES, "SECRETS_", 3),
    ("app/access/roles.py", LINES, "Permission.SECRETS_", 3),
    ("app/commands/upkeep.py", LINES, "vault", 2),
    ("app/core/keys.py", LINES, "VAULT", 1),
    ("app/core/security_events.py", PARAGRAPHS, "    SECRET_", 5),
    ("app/features/pages/notices.py", LINES, "SECRET_", 2),
    ("app/features/pages/templates/_account.html", LINES, "vault", 1),
    ("app/features/pages/templates/account_delete.html", LINES, "vault", 1),
    ("app/features/pages/wiring.py", LINES, "vault", 2),
    ("app/main.py", LINES, "vault", 4),
    ("docs/logging.md", LINES, "| `secret_", 5),
    ("migrations/env.py", LINES, "vault", 2),
    ("tests/access/routes.txt", LINES, "secrets:", 11),
)

NEXT_STEPS = {
    "sqlite": (),
    "postgresql": ("DATABASE_URL in .env has a new random password: give it to the role `app` of your server.",),
}
COMMANDS = (
    ("make run", "install, migrate, and serve on http://127.0.0.1:8000"),
    ("make test", "run the tests"),
    ("make", "list everything else"),
)
COMMANDS_WITHOUT_MAKE = "uv run manage migrate", "uv run manage serve"
BOLD, PLAIN = "\x1b[1m", "\x1b[0m"


class HookError(Exception):
    """The project cannot be finished; the message says why."""


def fill_secrets(example: str, settings: tuple[str, ...]) -> str:
    """Put a random value of its own in place of each setting's placeholder. Other lines stay as they are."""
    lines = example.splitlines(keepends=True)
    for setting in settings:
        places = [index for index, line in enumerate(lines) if line.startswith(f"{setting}=") and PLACEHOLDER in line]
        if len(places) != 1:
            message = f"{EXAMPLE} must have one line {setting}=… with the text {PLACEHOLDER}; it has {len(places)}"
            raise HookError(message)
        lines[places[0]] = lines[places[0]].replace(PLACEHOLDER, secrets.token_urlsafe(SECRET_BYTES))
    return "".join(lines)


def without(text: str, unit: str, mark: str, count: int) -> str:
    """The text without the lines or paragraphs that hold the mark; raises `HookError` unless there are that many."""
    parts = text.split(unit)
    kept = [part for part in parts if mark not in part]
    if len(parts) - len(kept) != count:
        message = f"{len(parts) - len(kept)} parts hold {mark!r}, and not {count}"
        raise HookError(message)
    return unit.join(kept)


def remove_vault() -> None:
    """Remove the sample vault, with every line that speaks of it. Where one is not there, nothing is touched."""
    changed = {}
    for name, unit, mark, count in VAULT_MENTIONS:
        try:
            changed[name] = without(Path(name).read_bytes().decode(), unit, mark, count)
        except (HookError, OSError) as error:
            message = f"the sample vault cannot be removed from {name}: {error}"
            raise HookError(message) from error
    missing = [name for name in VAULT_FILES if not Path(name).is_file()]
    if missing:
        message = f"the sample vault cannot be removed: there is no {', '.join(missing)}"
        raise HookError(message)
    for name, text in changed.items():
        Path(name).write_bytes(text.encode())
    for name in VAULT_FILES:
        Path(name).unlink()
    for folder in {Path(name).parent for name in VAULT_FILES}:
        if not any(folder.iterdir()):
            folder.rmdir()


def create_private(path: Path, content: bytes) -> bool:
    """Create a file that its owner alone can read. False, and nothing is touched, where something has its name."""
    try:
        descriptor = os.open(path, CREATE_ANEW, OWNER_ONLY)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError:
        path.unlink()
        raise
    return True


def write_env(database: str) -> bool:
    """Make `.env` from the example. False where there is one already, which stays as it is."""
    example = EXAMPLE.read_bytes().decode()
    return create_private(ENV, fill_secrets(example, SECRET_SETTINGS[database]).encode())


def wants_colour(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Colour is for a terminal whose user has not said no: https://no-color.org."""
    return stream.isatty() and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def next_steps(slug: str, database: str, *, created: bool, colour: bool) -> str:
    """What was made, and what to do with it."""
    on, off = (BOLD, PLAIN) if colour else ("", "")
    env = "a new secret key is in .env, which git ignores" if created else ".env was there, and stays as it was"
    width = max(len(command) for command, _ in COMMANDS)
    return "\n".join(
        [
            "",
            f"{on}{slug} is ready{off}: {env}.",
            *NEXT_STEPS[database],
            "",
            f"  {on}cd {slug}{off}",
            *(f"  {on}{command:<{width}}{off}  {what}" for command, what in COMMANDS),
            "",
            f"Without make: {' and then '.join(COMMANDS_WITHOUT_MAKE)}",
            "",
        ]
    )


def main() -> int:
    """Finish the project; 1 where that cannot be done."""
    answers = json.loads(ANSWERS)
    slug, database = answers["project_slug"], answers["database"]
    try:
        if not answers["sample_vault"]:
            remove_vault()
        created = write_env(database)
    except (HookError, OSError) as error:
        sys.stderr.write(f"ERROR: {error}\n")
        return 1
    colour = wants_colour(sys.stdout, os.environ)
    sys.stdout.write(next_steps(slug, database, created=created, colour=colour))
    return 0


if __name__ == "__main__":
    sys.exit(main())
