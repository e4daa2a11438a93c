"""`manage serve`: the server, with the options that it is tested with; `manage migrate`: the schema that it needs."""

import asyncio
import os
import ssl
from pathlib import Path
from typing import Annotated

import typer

from app.commands.support import database_faults, say, settings_or_exit
from app.core.database.database import Database
from app.core.database.migrations import require_current, upgrade
from app.core.settings.model import Settings, source_of
from app.features.metrics.endpoint import metrics_endpoint
from app.http.server.run import run_server

_ServingRole = Annotated[
    str | None,
    typer.Option(help="A role of PostgreSQL that serves: it gets all rights that serving needs, and loses others."),
]


def serve(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port, also of PUBLIC_URL if that is unset.")] = 8000,
    workers: Annotated[int, typer.Option(min=1, help="How many processes serve.")] = 1,
    reload: Annotated[bool, typer.Option("--reload", help="Start anew when the code changes.")] = False,
    certificate: Annotated[
        Path | None,
        typer.Option(
            exists=True, dir_okay=False, help="For development: speak HTTPS with this PEM file (certificate and key)."
        ),
    ] = None,
) -> None:
    """Serve the application."""
    try:
        if certificate is not None:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate)
    except OSError:
        raise typer.BadParameter("It has no certificate in PEM with its key.", param_hint="--certificate") from None
    settings = settings_or_exit()
    if port and not settings.production and source_of("public_url") is None:
        # In the environment, where every process that serves finds it.
        os.environ["PUBLIC_URL"] = f"http://127.0.0.1:{port}"
    with database_faults():
        asyncio.run(_prepare(settings))
    with metrics_endpoint(settings, several=workers > 1 or reload):
        run_server(
            "app.main:app",
            host=host,
            port=port,
            workers=workers,
            reload=reload,
            certificate=certificate,
            hsts_include_subdomains=settings.hsts_include_subdomains,
        )


async def _prepare(settings: Settings) -> None:
    """Migrate and check the schema before the start, so that a failure is one line."""
    if not settings.production:
        await upgrade(settings.database_url)
    async with Database(settings.database_url) as database:
        await require_current(database)


def migrate(*, serving_role: _ServingRole = None) -> None:
    """Bring the database schema up to date. The same as `alembic upgrade head`; safe when several run at once."""
    settings = settings_or_exit()
    with database_faults():
        asyncio.run(upgrade(settings.database_url, serving_role))
    say("The schema is up to date." + (f" {serving_role} may serve." if serving_role else ""))
