"""The command line: `manage …`."""

import typer

from app.commands.audit import audit
from app.commands.backup import backup, restore
from app.commands.check import check
from app.commands.clients import clients
from app.commands.create_admin import create_admin
from app.commands.doctor import doctor
from app.commands.new_feature.command import new_feature
from app.commands.purge import purge
from app.commands.routes import roles, routes
from app.commands.secret_key.rotate import rotate_secret_key
from app.commands.serve import migrate, serve
from app.commands.support import prepare_streams

cli = typer.Typer(
    name="manage",
    help="Run and look after the service. Settings come from the environment and `.env`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (serve, migrate, create_admin, check, doctor, backup, restore, purge, rotate_secret_key):
    cli.command()(command)
for listing in (routes, roles, new_feature):
    cli.command()(listing)
cli.add_typer(audit, name="audit")
cli.add_typer(clients, name="clients")


def main() -> None:
    """Run a command."""
    prepare_streams()
    cli()
