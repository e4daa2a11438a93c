"""Bring back what the owner had, remove what was not chosen, write `.env` with secrets of its own, say what comes next.

Cookiecutter keeps a copy of every answer and of this rendered file, so no secret is part of either: each is drawn here,
in this process. A failure makes Cookiecutter remove the project, so nothing here needs a network or another program.
"""

import os
import sys

# Cookiecutter runs a copy of this file in the folder for temporary files, where anybody could have put a `secrets.py`:
# Python would import that one.
sys.path[:] = [path for path in sys.path if os.path.realpath(path) != os.path.dirname(os.path.realpath(__file__))]

import itertools
import json
import re
import secrets
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

# The answers, as data: in a raw string of JSON, whatever they hold stays text.
ANSWERS = r"""{{ cookiecutter | tojson }}"""

EXAMPLE = Path(".env.example")
ENV = Path(".env")
# O_EXCL refuses a link too; O_NOFOLLOW says so once more where the platform has it. O_BINARY is Windows's.
CREATE_ANEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)

# A setting of the example that holds a placeholder, and which of them do, by the database that was chosen.
PLACEHOLDER = re.compile(r"^(SECRET_KEY|DATABASE_URL)=(.*)replace-me", re.MULTILINE)
SECRET_SETTINGS = {"sqlite": ["SECRET_KEY"], "postgresql": ["DATABASE_URL", "SECRET_KEY"]}
SECRET_BYTES = 64

# What the pre-generation hook set aside in a project that was there already, and where: in .before-update/1, and in
# .before-update/2 where an update was interrupted before. All but these folders are files beside them.
FOLDERS = (".github", "app", "bench", "deploy", "docs", "migrations", "tests")
# Of these the owner's files are kept beside the template's.
CONFIGURATION = (".github", "deploy")
BEFORE = Path(".before-update")
# What Windows calls a folder that is a link to another one, a junction: stat.IO_REPARSE_TAG_MOUNT_POINT, only there.
JUNCTION = 0xA0000003
FOLDER, FILE, LINK, OTHER = "a folder", "a file", "a link", "neither file nor folder"
MOST_NAMED = 5

# Lists of which each line that is about a feature goes with it.
INSTALLED = Path("app/features/installed.py")
IMPORT, ENTRY = re.compile(r"from app\.features\.\S+ import \w+\n"), re.compile(r"    \w+,\n")
PAGES = ("controls", "cryptography", "data", "logging", "settings")
LISTS = (INSTALLED.as_posix(), *(f"docs/{page}.md" for page in PAGES), "SECURITY.md")
MIGRATIONS = Path("migrations/versions")
# Which migration a file is, and which one it follows.
IDENTITY = re.compile(r'^revision: str = ("\w+")\ndown_revision: str \| None = ("\w+"|None)$', re.MULTILINE)


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
        elif kind(mine) == kind(here) == FILE and here.parts[0] in CONFIGURATION:
            put_beside(mine, here)
        elif kind(mine) == kind(here) == FILE and (here in template or mine.read_bytes() == here.read_bytes()):
            if here == INSTALLED:
                keep_features(mine, here)
            mine.unlink()
        else:
            yield f"{mine} ({kind(mine)}, and there is {kind(here)} in its place)"
    except OSError as error:
        yield f"{mine} ({error.strerror})"


def keep_features(mine: Path, here: Path) -> None:
    """Name the owner's features in the template's list, too, behind its own."""
    owner, template = (path.read_bytes().decode(errors="replace").splitlines(keepends=True) for path in (mine, here))
    added = [line for line in owner if line not in template]
    before, middle, after = "".join(template).partition("\nFEATURES = (\n")
    introduction, blank, imports = before.partition("\n\n")
    listed = [*imports.splitlines(keepends=True), *(line for line in added if IMPORT.fullmatch(line))]
    entries, end, rest = after.partition(")\n")
    entries += "".join(line for line in added if ENTRY.fullmatch(line))
    here.write_bytes("".join((introduction, blank, *sorted(listed), middle, entries, end, rest)).encode())


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
    template = {path for folder in FOLDERS for path in Path(folder).rglob("*")} if updates() else set()
    behind: list[str] = []
    for update in reversed(updates()):
        for folder in sorted(path for path in update.iterdir() if path.name in FOLDERS):
            behind += merge(folder, Path(folder.name), template)
    if behind:
        keep_beside()
        named = ", ".join(behind[:MOST_NAMED]) + (f" and {len(behind) - MOST_NAMED} more" * (len(behind) > MOST_NAMED))
        raise HookError(f"of your files, these could not be brought back: {named}. Move them away, and render again")


def repeats(here: Path, mine: Path) -> bool:
    """Whether the template's file has all that another one has."""
    template, owner = here.read_bytes(), mine.read_bytes()
    return template.startswith(owner) or (
        here.as_posix() in LISTS and set(owner.splitlines()) <= set(template.splitlines())
    )


def put_beside(mine: Path, here: Path) -> None:
    """Give what the owner had a name of its own beside the template's, unless that repeats it.

    The template's may also go on where an interruption had left the beginning of it, or have lines of other options.
    """
    if kind(mine) == kind(here) == FILE and repeats(here, mine):
        mine.unlink()
    else:
        names = itertools.chain([f"{here}{BEFORE}"], (f"{here}{BEFORE}-{number}" for number in itertools.count(1)))
        mine.rename(next(itertools.filterfalse(os.path.lexists, names)))


def set_apart(files: Collection[str]) -> None:
    """Compare the owner's files that are in no folder with the template's that will go: the same ones go with them.

    So do lists of which lines will go: an interruption had left them whole.
    """
    for mine in (path for update in updates() for path in sorted(update.iterdir())):
        if mine.name in files or (mine.name in LISTS and kind(mine) == FILE and repeats(Path(mine.name), mine)):
            put_beside(mine, Path(mine.name))


def keep_beside() -> list[str]:
    """Put the owner's files that are in no folder beside the template's; return all that are there."""
    for mine in (path for update in updates() for path in sorted(update.iterdir()) if path.name not in FOLDERS):
        if os.path.lexists(mine.name):
            put_beside(mine, Path(mine.name))
        else:
            mine.rename(mine.name)
    for folder in (*updates(), BEFORE):
        if os.path.lexists(folder) and kind(folder) == FOLDER and not any(folder.iterdir()):
            folder.rmdir()
    beside = (path for folder in CONFIGURATION for path in Path(folder).rglob(f"?*{BEFORE}*"))
    return sorted(path.as_posix() for path in (*Path().glob(f"?*{BEFORE}*"), *beside))


def fill_secrets(example: str, settings: Sequence[str]) -> str:
    """Put a random value of its own in place of each setting's placeholder. Other lines stay as they are."""
    found = sorted(setting for setting, _ in PLACEHOLDER.findall(example))
    if found != sorted(settings):
        raise HookError(
            f"{EXAMPLE} must have a placeholder for {', '.join(settings)}, not for {', '.join(found) or 'none'}"
        )
    return PLACEHOLDER.sub(lambda line: f"{line[1]}={line[2]}{secrets.token_urlsafe(SECRET_BYTES)}", example)


def is_about(line: str, feature: str) -> bool:
    """Whether a line of a list is the import or name of a feature, a row of it, or a claim that it alone proves."""
    marks = (f"app.features.{feature}.feature ", f"| {feature} |\n", " | |\n")
    return line.strip() == f"{feature.upper()}," or any(mark in line for mark in marks)


def relinked(migrations: Mapping[str, str], gone: Collection[str]) -> dict[str, str]:
    """The migrations that stay, each following the last one before it that stays. Raises `HookError`."""
    kept = dict(migrations)
    for name in sorted(gone):
        found = IDENTITY.search(kept.pop(name))
        if not found:
            raise HookError(f"{name} does not say which migration it is, and which one it follows")
        old, new = (f"down_revision: str | None = {revision}\n" for revision in found.groups())
        kept = {other: text.replace(old, new) for other, text in kept.items()}
    return kept


def left_out(answers: Mapping[str, Any]) -> list[Path]:
    """What belongs to answers that were not given: files, and folders with all that the template has in them."""
    options = (option for option in answers["_options"] if answers[option["prompt"]] not in option["answers"])
    return [Path(name) for option in options for name in option["files"]]


def own_files(paths: Sequence[Path]) -> set[str]:
    """Every file of the template there, before the owner's files are brought back."""
    for path in paths:
        if not path.exists():
            raise HookError(f"an option cannot be removed: there is no {path.as_posix()}")
    return {file.as_posix() for path in paths for file in (path, *path.rglob("*")) if file.is_file()}


def remove(paths: Sequence[Path], files: Collection[str]) -> None:
    """Remove options: their files, and what lists say of their features. Nothing is touched if something is strange."""
    features = {path.name for path in paths if path.parent == Path("app/features")}
    migrations = {path.as_posix(): path.read_bytes().decode() for path in MIGRATIONS.glob("*.py")}
    changed = relinked(migrations, migrations.keys() & files)
    tests = {name.removesuffix("claims.txt") for name in files if name.startswith("tests/")}
    proofs = re.compile("|".join(f"`{re.escape(name)}` " for name in tests))
    for name in LISTS if features else ():
        lines = proofs.sub("", Path(name).read_bytes().decode()).splitlines(keepends=True)
        changed[name] = "".join(line for line in lines if not any(is_about(line, each) for each in features))
    for name, text in changed.items():
        if migrations.get(name) != text:
            Path(name).write_bytes(text.encode())
    for name in files:
        Path(name).unlink()
    # The innermost first: a folder that held nothing but empty folders is empty then.
    folders = {folder for name in files for folder in Path(name).parents}
    for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()


def write_env(database: str) -> bool:
    """Make `.env` from the example, for its owner alone. False if something has its name, which stays as it is."""
    content = fill_secrets(EXAMPLE.read_bytes().decode(), SECRET_SETTINGS[database]).encode()
    try:
        descriptor = os.open(ENV, CREATE_ANEW, 0o600)
    except FileExistsError:
        return False
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except OSError:
        ENV.unlink()
        raise
    return True


def wants_colour(environment: Mapping[str, str], *, terminal: bool) -> bool:
    """Colour is for a terminal whose user has not said no: https://no-color.org."""
    return terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def next_steps(slug: str, database: str, kept: Sequence[str], *, created: bool, colour: bool) -> str:
    """What was made, and what to do with it."""
    on, off = ("\x1b[1m", "\x1b[0m") if colour else ("", "")
    lines = ["a new secret key is in .env, which git ignores." if created else ".env was there, and stays as it was."]
    if database == "postgresql":
        lines += ["DATABASE_URL in .env has a new random password: give it to the role `app` of your server."]
    lines += [f"Yours, beside the template's; take over what you need: {', '.join(kept)}"] if kept else []
    return f"""
{on}{slug} is ready{off}: {chr(10).join(lines)}

  {on}cd {slug}{off}
  {on}make run{off}   install, migrate, and serve on http://127.0.0.1:8000
  {on}make test{off}  run the tests
  {on}make{off}       list everything else

Without make: uv run manage migrate and then uv run manage serve
"""


def main() -> int:
    """Finish the project; 1 where that cannot be done."""
    answers = json.loads(ANSWERS)
    slug, database = answers["project_slug"], answers["database"]
    try:
        paths = left_out(answers)
        files = own_files(paths)
        bring_back()
        set_apart(files)
        remove(paths, files)
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
