"""`manage routes`: the table of who may call what."""

from app.access.guard import route_policies
from app.commands.support import say, settings_or_exit
from app.main import create_app


def routes() -> None:
    """Print every route with its policy: method, path, policy."""
    lines = route_policies(create_app(settings_or_exit()))
    method_width = max(len(line.method) for line in lines)
    path_width = max(len(line.path) for line in lines)
    for method, path, policy in lines:
        say(f"{method:<{method_width}}  {path:<{path_width}}  {policy}")
