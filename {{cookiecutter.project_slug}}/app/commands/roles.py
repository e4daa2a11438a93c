"""`manage roles`: the table of who may do what."""

from app.access.roles import Grants, Role
from app.assembly import FEATURES
from app.commands.support import say

HEADER = f"{'permission':<24}" + "".join(f"{role:<9}" for role in Role) + "description"


def roles() -> None:
    """Print every permission: which roles have it, and what it allows."""
    say(HEADER)
    for line in sorted(line for feature in FEATURES for line in lines_of(feature.grants)):
        say(line)


def lines_of(grants: Grants) -> list[str]:
    """Return the lines of the permissions that a feature grants."""
    lines = []
    for permission in sorted(grants):
        cells = "".join(f"{'yes' if role in grants[permission] else '-':<9}" for role in Role)
        lines.append(f"{permission:<24}{cells}{permission.description}")
    return lines
