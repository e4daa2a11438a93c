"""What the tables of the documents hold, and what the code imports."""

import ast
import re
from functools import cache

from tests.support.processes.server import PROJECT

_CODE = re.compile(r"`([^`]+)`")


def rows(*header: str) -> list[list[str]]:
    """The rows of every table below `docs` that has this header, as texts of their cells."""
    found, head = [], f"| {' | '.join(header)} |"
    for page in sorted((PROJECT / "docs").rglob("*.md")):
        _, *tables = f"\n{page.read_text(encoding='utf-8')}".split(f"\n{head}\n")
        for table in tables:
            body = table.splitlines()[1:]
            end = next((number for number, line in enumerate(body) if not line.startswith("|")), len(body))
            found += [[cell.strip() for cell in line.strip("|").split("|")] for line in body[:end]]
    return found


def names(cell: str) -> list[str]:
    """What a cell names as code."""
    return _CODE.findall(cell)


@cache
def sources() -> dict[str, ast.Module]:
    """Each module of the service, by its path in the project."""
    paths = sorted((PROJECT / "app").rglob("*.py"))
    return {path.relative_to(PROJECT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def _imports(module: ast.Module) -> set[str]:
    """What a module imports, anywhere in it: modules, and names of modules."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def uses_of(*packages: str) -> set[tuple[str, str]]:
    """The modules of the service that import one of these, or a part of one, with what they import."""
    parts = tuple(f"{package}." for package in packages)
    return {
        (path, name)
        for path, module in sources().items()
        for name in _imports(module)
        if name in packages or name.startswith(parts)
    }


def users_of(*packages: str) -> set[str]:
    """The modules of the service that import one of these, or a part of one."""
    return {path for path, _ in uses_of(*packages)}
