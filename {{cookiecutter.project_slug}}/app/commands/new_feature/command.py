"""`manage new-feature`: write a feature with its migration and its tests, as a start for one's own.

The templates beside this module are texts for `string.Template`: `$many` is `notes`, `$one` is `note`.
"""

import importlib.util
import keyword
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module, invalidate_caches
from pathlib import Path
from string import Template
from typing import Annotated, Any

import typer
from alembic.script import ScriptDirectory

from app.access.roles import RoleTable
from app.commands.routes import HEADER, ROLES_HEADER, line_of, lines_of
from app.commands.support import fail, file_faults, say
from app.core.database.database import Base
from app.core.database.migrations import MIGRATIONS
from app.feature import API_PREFIX
from app.features.installed import FEATURES

_TEMPLATES = Path(__file__).parent
_PROJECT = MIGRATIONS.parent
_INSTALLED = _PROJECT / "app" / "features" / "installed.py"
_NAME = re.compile(r"[a-z]{2,20}")
# Names in the code of the templates: it would mean something else by them.
OWN_NAMES = frozenset(
    """actor allow annotated base change conflict cursor cursors database datetime db dict event feature field found
    func id kept keys limit list mapped new notice now own page params path permission policy principal property
    provide provided response router row rows select self services sessions setattr settings site statement str text
    timestamp title tuple typed uuid value values""".split()
)

_Many = Annotated[str, typer.Argument(metavar="NAME", help="What a user has many of, in small letters, such as: notes")]
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
    numbers = [int(path.name[:4]) for path in (MIGRATIONS / "versions").glob("[0-9][0-9][0-9][0-9]_*.py")]
    latest = max(ScriptDirectory(str(MIGRATIONS)).get_heads())
    names |= {"down_revision": latest, "revision": str(max(1000, *numbers) + 1)}
    files = dict(_files(names))
    taken = [path for path in files if path.exists()]
    if taken:
        fail(f"{taken[0].relative_to(_PROJECT)} exists; nothing was written.")
    features = [many, f"{many}_pages"] if (_TEMPLATES / "pages").is_dir() else [many]
    with file_faults(f"The feature {many} cannot be written", "Remove the files that are named above."):
        _write(files)
        _write(dict(_tables(features)))
        _install(features)
    _format([_INSTALLED, *(path for path in files if path.suffix == ".py")])
    say("app/features/installed.py has it. Next: manage migrate, make check, and change it to what you need.")


def _require_free(many: str, one: str) -> None:
    taken = {feature.name for feature in FEATURES} | Base.metadata.tables.keys()
    taken |= {str(permission).partition(":")[0] for feature in FEATURES for permission in feature.grants}
    routes = [route for feature in FEATURES for router in feature.api for route in router.routes]
    if many in taken | {getattr(route, "path", "/").split("/")[1] for route in routes}:
        fail(f"There is a feature, a table, a route or a permission {many} already.")
    for name in (many, one):
        if not _NAME.fullmatch(name) or keyword.iskeyword(name) or name in OWN_NAMES:
            what = "must be 2 to 20 small letters, and no word of Python or of the code that is written"
            fail(f"{name!r} {what}. Example: manage new-feature notes")
    if many == one:
        fail("NAME and --one must differ. Example: manage new-feature news --one article")
    if not (_PROJECT / "tests" / "features").is_dir():
        fail("Run it in the project's own folder, where app/, migrations/ and tests/ are.")


def _files(names: dict[str, str]) -> Iterator[tuple[Path, str]]:
    many = names["many"]
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


def _write(files: dict[Path, str]) -> None:
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        say(str(path.relative_to(_PROJECT)))


def _filled(template: Path, names: dict[str, str]) -> str:
    return Template(template.read_text(encoding="utf-8")).substitute(names)


def _tables(names: list[str]) -> Iterator[tuple[Path, str]]:
    """Yield the tables of the features that were written, as `tests/access/test_routes.py` expects them."""
    invalidate_caches()
    features: list[Any] = [getattr(import_module(f"app.features.{name}.feature"), name.upper()) for name in names]
    grants, tests = features[0].grants, _PROJECT / "tests" / "features"
    yield tests / names[0] / "roles.txt", "\n".join([ROLES_HEADER, *lines_of(grants), ""])
    for feature in features:
        routers = [*((API_PREFIX, router) for router in feature.api), *(("", router) for router in feature.root)]
        routes = [(prefix + route.path, *route.methods, route) for prefix, router in routers for route in router.routes]
        table = RoleTable(grants)
        lines = [line_of(verb, path, it.policy, it.body_limit, table) for path, verb, it in sorted(routes)]
        yield tests / feature.name / "routes.txt", "\n".join([HEADER, *lines, ""])


def _install(features: list[str]) -> None:
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
            subprocess.run([sys.executable, "-m", "ruff", *command, *paths], check=True, cwd=_PROJECT)
