"""Bring back what the owner had, remove what was not chosen, write `.env` with secrets of its own, say what comes next.

Cookiecutter keeps a copy of every answer and of this rendered file, so no secret is part of either: each is drawn here,
in this process. A failure makes Cookiecutter remove the project, so nothing here needs a network or another program.
"""

import itertools
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

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

# What the pre-generation hook set aside in a project that was there already, and where: in .before-update/1, and in
# .before-update/2 where an update was interrupted before. All but these folders are files beside them.
FOLDERS = ("app", "bench", "docs", "migrations", "tests")
BEFORE = Path(".before-update")
# What Windows calls a folder that is a link to another one, a junction: stat.IO_REPARSE_TAG_MOUNT_POINT, only there.
JUNCTION = 0xA0000003
FOLDER, FILE, LINK, OTHER = "a folder", "a file", "a link", "neither file nor folder"
MOST_NAMED = 5

LINES, PARAGRAPHS = "\n", "\n\n"


class Option:
    """What an answer of "no" leaves out.

    `paths` are files, and folders with all that the template has in them. `mentions` say where the files that stay
    speak of it: what goes is each line, or each paragraph, that holds the text, and how many there are.
    """

    def __init__(self, name: str, paths: str, mentions: Sequence[tuple[str, str, str, int]] = ()) -> None:
        """Take the paths as text, with blanks between them."""
        self.name = name
        self.paths = tuple(map(Path, paths.split()))
        self.mentions = tuple(mentions)


# By the prompt that leaves it out.
OPTIONS = {
    "sample_vault": Option(
        "the sample vault",
        """
        app/features/vault app/features/vault_pages
        migrations/versions/0006_vault.py
        tests/features/vault tests/features/vault_pages
        """,
        (
            ("SECURITY.md", LINES, "`tests/features/vault/`", 3),
            ("app/access/permissions.py", LINES, "SECRETS_", 6),
            ("app/access/roles.py", LINES, "Permission.SECRETS_", 3),
            ("app/commands/upkeep.py", LINES, "vault", 2),
            ("app/core/crypto/keys.py", LINES, "VAULT", 1),
            ("app/core/events/catalog.py", PARAGRAPHS, "    SECRET_", 5),
            ("app/features/pages/kit/notices.py", LINES, "SECRET_", 2),
            ("app/features/pages/account/templates/_account.html", LINES, "vault", 1),
            ("app/features/pages/account/templates/account_delete.html", LINES, "vault", 1),
            ("app/features/pages/wiring.py", LINES, "vault", 2),
            ("app/main.py", LINES, "vault", 4),
            ("docs/logging.md", LINES, "| `secret_", 5),
            ("migrations/env.py", LINES, "vault", 2),
            ("tests/access/routes.txt", LINES, "secrets:", 6),
            ("tests/features/pages/routes.txt", LINES, "secrets:", 5),
            ("tests/security/test_effects.py", LINES, "vault", 2),
            ("tests/security/test_effects.py", LINES, "v1/secrets", 2),
            ("tests/security/test_long_texts.py", LINES, '"secret_', 2),
        ),
    ),
    "browser_pages": Option(
        "the browser pages",
        """
        app/features/authorization app/features/browser app/features/oauth/clients/own_clients.py
        app/features/pages app/features/vault_pages
        docs/authorization.md docs/pages.md
        migrations/versions/0007_authorization.py migrations/versions/0008_browser_sessions.py
        migrations/versions/0011_consents_anew.py
        tests/features/authorization tests/features/browser tests/features/oauth/clients/test_own_clients.py
        tests/features/pages tests/features/vault_pages
        tests/support/browser.py tests/support/chromium.py tests/support/node tests/support/other_origin.py
        tests/support/page_programs.py tests/support/site.py
        """,
        (
            ("SECURITY.md", LINES, "`tests/features/authorization/`", 3),
            ("SECURITY.md", LINES, "`tests/features/browser/`", 2),
            ("SECURITY.md", LINES, "`tests/features/pages/`", 12),
            ("app/commands/upkeep.py", LINES, "BrowserSessionSeals", 2),
            ("app/core/crypto/keys.py", LINES, "BROWSER_SESSION", 1),
            ("app/core/events/catalog.py", PARAGRAPHS, "    AUDIT_EXPORTED", 1),
            ("app/core/events/catalog.py", PARAGRAPHS, "    CODE_REUSED", 1),
            ("app/core/events/catalog.py", PARAGRAPHS, "    CONSENT_", 3),
            ("app/core/events/catalog.py", PARAGRAPHS, "    PASSWORD_CONFIRMED", 1),
            ("app/core/events/catalog.py", PARAGRAPHS, "    SESSION_FORGED", 1),
            ("app/features/accounts/administration.py", PARAGRAPHS, "    async def end_session(", 1),
            ("app/features/accounts/administration.py", PARAGRAPHS, "    async def end_sessions(", 1),
            ("app/features/audit/entries.py", LINES, "SESSION_FORGED", 2),
            ("app/features/sessions/service.py", LINES, "    CODE_REUSED", 1),
            ("app/features/sessions/service.py", LINES, "    CONSENT_REVOKED", 1),
            ("app/features/sessions/service.py", LINES, "    ENDED_BY_ADMINISTRATOR", 1),
            ("app/features/sessions/service.py", PARAGRAPHS, "    async def authenticated_again(", 1),
            ("app/features/sessions/service.py", PARAGRAPHS, "    async def seen(", 1),
            ("app/main.py", LINES, "_pages", 3),
            ("docs/audit.md", PARAGRAPHS, "/admin/audit", 1),
            ("docs/logging.md", LINES, "| `audit_exported`", 1),
            ("docs/logging.md", LINES, "| `code_reused`", 1),
            ("docs/logging.md", LINES, "| `consent_", 3),
            ("docs/logging.md", LINES, "| `password_confirmed`", 1),
            ("docs/logging.md", LINES, "| `session_forged`", 1),
            ("migrations/env.py", LINES, "authorization", 2),
            ("migrations/env.py", LINES, "browser", 2),
            ("tests/conftest.py", LINES, "tests.support.chromium", 1),
            ("tests/conftest.py", LINES, "tests.support.page_programs", 1),
        ),
    ),
}

MIGRATIONS = Path("migrations/versions")
# How a migration says which one it is, and which one it follows.
REVISION = re.compile(r'^revision: str = ("\w+")$', re.MULTILINE)
FOLLOWS = re.compile(r'^down_revision: str \| None = ("\w+"|None)$', re.MULTILINE)

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


def kind(path: Path) -> str:
    """What something is itself; a link is not followed."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode) or getattr(status, "st_reparse_tag", 0) == JUNCTION:
        return LINK
    return FOLDER if stat.S_ISDIR(status.st_mode) else FILE if stat.S_ISREG(status.st_mode) else OTHER


def merge(mine: Path, here: Path, template: Collection[Path]) -> Iterator[str]:
    """Move what the owner had to where it was; what the template has written anew is not needed. Say what stays behind.

    Nothing is removed but files that the template has in their place, and folders that are empty.
    """
    try:
        if not os.path.lexists(here):
            mine.rename(here)
        elif kind(mine) == kind(here) == FOLDER:
            for path in sorted(mine.iterdir()):
                yield from merge(path, here / path.name, template)
            here.chmod(stat.S_IMODE(mine.stat().st_mode))
            if not any(mine.iterdir()):
                mine.rmdir()
        elif kind(mine) == kind(here) == FILE and (here in template or mine.read_bytes() == here.read_bytes()):
            mine.unlink()
        else:
            yield f"{mine} ({kind(mine)}, and there is {kind(here)} in its place)"
    except OSError as error:
        yield f"{mine} ({error.strerror})"


def updates() -> list[Path]:
    """The folders of what was set aside, the earliest first; no link is followed."""
    if not os.path.lexists(BEFORE) or kind(BEFORE) != FOLDER:
        return []
    found = [path for path in BEFORE.iterdir() if path.name.isdecimal() and kind(path) == FOLDER]
    return sorted(found, key=lambda path: int(path.name))


def bring_back() -> None:
    """Bring back the folders that were set aside, the latest first. Raises `HookError` where something stays behind.

    The folders hold the template's files and no others yet, for the owner's had been moved before they were copied.
    """
    template = {path for folder in FOLDERS for path in Path(folder).rglob("*")}
    behind: list[str] = []
    for update in reversed(updates()):
        for folder in sorted(path for path in update.iterdir() if path.name in FOLDERS):
            behind += merge(folder, Path(folder.name), template)
    if behind:
        keep_beside()
        more = f" and {len(behind) - MOST_NAMED} more" if len(behind) > MOST_NAMED else ""
        named = ", ".join(behind[:MOST_NAMED]) + more
        message = f"of your files, these could not be brought back: {named}. Move them away, and render again"
        raise HookError(message)


def keep_beside() -> list[str]:
    """Put the owner's files that are in no folder beside the template's of the same name; return those that are there.

    One that the template's repeats is not needed: it is the same, or the beginning that an interruption left of it.
    """
    for mine in (path for update in updates() for path in sorted(update.iterdir()) if path.name not in FOLDERS):
        here = Path(mine.name)
        if not os.path.lexists(here):
            mine.rename(here)
        elif kind(mine) == kind(here) == FILE and here.read_bytes().startswith(mine.read_bytes()):
            mine.unlink()
        else:
            numbered = (f"{here}{BEFORE}-{number}" for number in itertools.count(1))
            mine.rename(next(itertools.filterfalse(os.path.lexists, itertools.chain([f"{here}{BEFORE}"], numbered))))
    for folder in (*updates(), BEFORE):
        if os.path.lexists(folder) and kind(folder) == FOLDER and not any(folder.iterdir()):
            folder.rmdir()
    return sorted(path.name for path in Path().glob(f"?*{BEFORE}*"))


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


def the_one(pattern: re.Pattern[str], text: str, name: str) -> str:
    """What the pattern finds; raises `HookError` unless it finds one thing."""
    found = pattern.findall(text)
    if len(found) != 1:
        message = f"{name} has {len(found)} lines like {pattern.pattern}, and not 1"
        raise HookError(message)
    return str(found[0])


def relinked(migrations: Mapping[str, str], gone: str) -> dict[str, str]:
    """The migrations that follow one that goes, changed to follow the one before it; each by its name.

    Raises `HookError` where one of them names it in another way than the template's own do.
    """
    revision, before = (the_one(pattern, migrations[gone], gone) for pattern in (REVISION, FOLLOWS))
    changed = {}
    for name, text in migrations.items():
        if name == gone or revision not in text:
            continue
        if the_one(FOLLOWS, text, name) != revision or text.count(revision) != 1:
            message = f"{name} names the migration {revision} elsewhere than in its down_revision"
            raise HookError(message)
        changed[name] = text.replace(revision, before)
    return changed


def relinked_without(pruned: Collection[str]) -> dict[str, str]:
    """The migrations that have to change when some of the template's go, by their paths."""
    before = {path.as_posix(): path.read_bytes().decode() for path in MIGRATIONS.glob("*.py")}
    after = dict(before)
    for gone in sorted(before.keys() & pruned):
        after |= relinked(after, gone)
        del after[gone]
    return {name: text for name, text in after.items() if text != before[name]}


def without_mentions(options: Sequence[Option], pruned: Collection[str]) -> dict[str, str]:
    """The files that stay and spoke of an option, without what they said."""
    changed = relinked_without(pruned)
    for option in options:
        for name, unit, mark, count in option.mentions:
            if name in pruned:
                continue  # with everything that it says
            try:
                text = changed[name] if name in changed else Path(name).read_bytes().decode()
                changed[name] = without(text, unit, mark, count)
            except (HookError, OSError) as error:
                message = f"{option.name} cannot be removed from {name}: {error}"
                raise HookError(message) from error
    return changed


def own_files(option: Option) -> set[str]:
    """Everything of the template that belongs to an option. To be asked before the owner's files are brought back."""
    missing = [path.as_posix() for path in option.paths if not path.exists()]
    if missing:
        message = f"{option.name} cannot be removed: there is no {', '.join(missing)}"
        raise HookError(message)
    found = {file for path in option.paths for file in (path, *path.rglob("*")) if file.is_file()}
    return {file.as_posix() for file in found}


def remove(options: Sequence[Option], files: Collection[str]) -> None:
    """Remove options: their files, and every line that speaks of them. If a line is missing, nothing is touched."""
    for name, text in without_mentions(options, files).items():
        Path(name).write_bytes(text.encode())
    for name in files:
        Path(name).unlink()
    # The innermost first: a folder that held nothing but empty folders is empty then.
    folders = {folder for name in files for folder in Path(name).parents}
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
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


def wants_colour(environment: Mapping[str, str], *, terminal: bool) -> bool:
    """Colour is for a terminal whose user has not said no: https://no-color.org."""
    return terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def next_steps(slug: str, database: str, kept: Sequence[str], *, created: bool, colour: bool) -> str:
    """What was made, and what to do with it."""
    on, off = (BOLD, PLAIN) if colour else ("", "")
    env = "a new secret key is in .env, which git ignores" if created else ".env was there, and stays as it was"
    width = max(len(command) for command, _ in COMMANDS)
    return "\n".join(
        [
            "",
            f"{on}{slug} is ready{off}: {env}.",
            *NEXT_STEPS[database],
            *([f"Yours, beside the template's; take over what you need: {', '.join(kept)}"] if kept else []),
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
        options = [option for prompt, option in OPTIONS.items() if not answers[prompt]]
        files = set().union(*map(own_files, options))
        bring_back()
        remove(options, files)
        kept = keep_beside()
        created = write_env(database)
    except (HookError, OSError) as error:
        sys.stderr.write(f"ERROR: {error}\n")
        return 1
    colour = wants_colour(os.environ, terminal=sys.stdout.isatty())
    sys.stdout.write(next_steps(slug, database, kept, created=created, colour=colour))
    return 0


if __name__ == "__main__":
    sys.exit(main())
