"""`manage new-feature`: write a feature with its migration and its tests, as a start for one's own.

The templates beside this module are texts for `string.Template`: `$many` is `notes`, `$one` is `note`.
"""

import importlib.util
import keyword
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Annotated, Any

import typer

from app.access.policies import Allow
from app.access.roles import EVERY_ROLE, Grants, Permission, RoleTable
from app.commands import roles
from app.commands.routes import HEADER, line_of
from app.commands.support import fail, say
from app.core.database.database import Base
from app.core.database.migrations import MIGRATIONS
from app.features.installed import FEATURES
from app.http.request.body_limit import KIB

_TEMPLATES = Path(__file__).parent
_PROJECT = MIGRATIONS.parent
_INSTALLED = _PROJECT / "app" / "features" / "installed.py"
_NAME = re.compile(r"[a-z]{2,20}")

_Many = Annotated[str, typer.Argument(metavar="NAME", help="What a user has many of, such as: notes")]
_One = Annotated[str | None, typer.Option("--one", help="One of them. Without it, NAME without its last letter.")]


def new_feature(many: _Many, one: _One = None) -> None:
    """Write a feature: users have many of something, each their own. Then edit it to what you need.

    It has a table, permissions, events, an API, pages if the service has pages, and tests. Nothing that exists is
    changed but the list of features, app/features/installed.py.
    """
    one = one or many[:-1]
    names = {"many": many, "Many": many.capitalize(), "MANY": many.upper()}
    names |= {"one": one, "One": one.capitalize(), "ONE": one.upper()}
    _require_free(many, one)
    latest = max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))
    names |= {"down_revision": latest, "revision": f"{int(latest) + 1:04}"}
    files = dict(_files(names))
    taken = [path for path in files if path.exists()]
    if taken:
        fail(f"{taken[0].relative_to(_PROJECT)} exists; nothing was written.")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        say(str(path.relative_to(_PROJECT)))
    _install([many, f"{many}_pages"] if (_TEMPLATES / "pages").is_dir() else [many])
    _format([_INSTALLED, *(path for path in files if path.suffix == ".py")])
    say("app/features/installed.py has it. Next: manage migrate, make check, and change it to what you need.")


def _require_free(many: str, one: str) -> None:
    for name in (many, one):
        if not _NAME.fullmatch(name) or keyword.iskeyword(name):
            fail(f"{name!r} must be 2 to 20 small letters and no word of Python. Example: manage new-feature notes")
    if many == one:
        fail("NAME and --one must differ. Example: manage new-feature news --one article")
    if many in {feature.name for feature in FEATURES} or many in Base.metadata.tables:
        fail(f"There is a feature or a table {many} already.")
    if not (_PROJECT / "tests" / "features").is_dir():
        fail("Run it in the project's own folder, where app/, migrations/ and tests/ are.")


def _files(names: dict[str, str]) -> Iterator[tuple[Path, str]]:
    """Yield what is to be written, and its text."""
    many, tests = names["many"], _PROJECT / "tests" / "features"
    migration = MIGRATIONS / "versions" / f"{names['revision']}_{many}.py"
    yield migration, _filled(_TEMPLATES / "feature" / "migration.py.txt", names)
    yield _PROJECT / "docs" / "features" / f"{many}.md", _filled(_TEMPLATES / "feature" / "docs.md.txt", names)
    for kind, feature in (("feature", many), ("pages", f"{many}_pages")):  # of no pages, there are no templates
        for part in ("app", "tests"):
            folder = _TEMPLATES / kind / part
            for template in sorted(folder.rglob("*.txt")):
                name = template.relative_to(folder).as_posix().removesuffix(".txt")
                name = name.replace("MANY", many).replace("ONE", names["one"])
                yield _PROJECT / part / "features" / feature / name, _filled(template, names)
        for routes in (_TEMPLATES / kind).glob("routes.txt"):
            yield tests / feature / routes.name, _routes(routes, names)
    yield tests / many / "roles.txt", "\n".join([roles.HEADER, *roles.lines_of(_grants(names)), ""])


def _filled(template: Path, names: dict[str, str]) -> str:
    return Template(template.read_text(encoding="utf-8")).substitute(names)


def _grants(names: dict[str, str]) -> Grants:
    """Return the permissions of the new feature, as its `permissions.py` has them."""
    many = names["many"]
    members = {
        "READ": (f"{many}:read", f"See your {many}"),
        "WRITE": (f"{many}:write", f"Write, change and delete your {many}"),
    }
    rights: Any = Permission("Right", members)  # type: ignore[arg-type]  # members with a description
    return dict.fromkeys(rights, EVERY_ROLE)


def _routes(template: Path, names: dict[str, str]) -> str:
    """Write the table of the routes in a template (method, path, permission, KiB), as `test_routes.py` expects it."""
    table = RoleTable(_grants(names))
    rows = [line.split() for line in _filled(template, names).splitlines()]
    lines = (
        line_of(verb, path, Allow(table.permissions[right]), int(kib) * KIB, table) for verb, path, right, kib in rows
    )
    return "\n".join([HEADER, *lines, ""])


def _install(features: list[str]) -> None:
    """Name the features in the list, each with its import."""
    imports, start, rest = _INSTALLED.read_text(encoding="utf-8").partition("\nFEATURES = (\n")
    listed, end, after = rest.partition(")\n")
    for feature in features:
        imports += f"from app.features.{feature}.feature import {feature.upper()}\n"
        listed += f"    {feature.upper()},\n"
    _INSTALLED.write_text(imports + start + listed + end + after, encoding="utf-8")


def _format(paths: list[Path]) -> None:
    """Sort imports and format, if the tools for it are installed."""
    if importlib.util.find_spec("ruff") is not None:
        for command in (("check", "--quiet", "--select=I", "--fix"), ("format", "--quiet")):
            subprocess.run([sys.executable, "-m", "ruff", *command, *paths], check=True, cwd=_PROJECT)  # noqa: S603  # its own formatter
