"""`manage clients`: the OAuth 2 clients of the service."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import typer
from pydantic import SecretStr, ValidationError

from app.access.roles import Role
from app.commands.support import fail, run_with_services, say
from app.core.errors import Problem
from app.core.pagination import PageParams
from app.core.services import Services
from app.features.oauth.clients.registered import GrantType
from app.features.oauth.clients.schemas import ClientCreate
from app.features.oauth.clients.service import ClientService

Result = TypeVar("Result")

clients = typer.Typer(help="Register, list and remove OAuth 2 clients.", no_args_is_help=True)

_ClientId = Annotated[str, typer.Argument(metavar="CLIENT_ID", help="What `add` and `list` show as client_id.")]


@clients.command()
def add(
    *,
    name: Annotated[str, typer.Option(help="What people see when they are asked.")],
    scope: Annotated[str, typer.Option(help='What it may do at most. Example: "account:read users:read"')],
    redirect_uri: Annotated[
        list[str] | None, typer.Option(help="Where codes are sent; once for each. Example: https://app.example.com/cb")
    ] = None,
    grant: Annotated[
        list[GrantType] | None, typer.Option(help="Once for each; without one, authorization_code and refresh_token.")
    ] = None,
    confidential: Annotated[
        bool, typer.Option("--confidential/--public", help="Whether it can keep a secret: a server can, an app cannot.")
    ] = True,
    first_party: Annotated[
        bool, typer.Option("--first-party", help="It is your own: nobody is asked for their consent.")
    ] = False,
    role: Annotated[
        list[Role] | None, typer.Option(help="What it is itself, with the grant client_credentials; once for each.")
    ] = None,
) -> None:
    """Register a client. A secret is shown once, on standard output."""
    given = {"name": name, "scope": scope, "confidential": confidential, "first_party": first_party}
    lists = {"redirect_uris": redirect_uri, "grants": grant, "roles": role}
    try:
        new = ClientCreate.model_validate(given | {field: values for field, values in lists.items() if values})
    except ValidationError as error:
        fail("\n".join(map(_explained, error.errors())))
    _run(lambda service: service.add(None, new, show=_show))


@clients.command(name="list")
def list_clients() -> None:
    """Print every client: client_id, name, kind, grants, scope and redirect addresses."""
    every, _ = _run(lambda service: service.list_clients(PageParams(2**31 - 1)))
    for client in every:
        kind = "confidential" if client.confidential else "public"
        kind += ", first-party" if client.first_party else ""
        lists = (sorted(client.grants), sorted(client.scope), client.redirect_uris)
        say("\t".join(filter(None, (client.client_id, client.name, kind, *map(" ".join, lists)))))


@clients.command()
def rotate(client_id: _ClientId) -> None:
    """Give a client another secret, shown once: the one before opens nothing more."""
    _run(lambda service: service.rotate_secret(None, client_id, show=_show_secret))


@clients.command()
def remove(client_id: _ClientId) -> None:
    """Remove a client: every session that it has ends, and its service account is deleted."""
    say(f"Removed {_run(lambda service: service.remove(None, client_id)).name}.")


def _show(client_id: str, secret: SecretStr | None) -> None:
    say(f"client_id: {client_id}")
    if secret is not None:
        _show_secret(secret)


def _show_secret(secret: SecretStr) -> None:
    say(f"client_secret, shown this once: {secret.get_secret_value()}")


def _run(work: Callable[[ClientService], Awaitable[Result]]) -> Result:
    async def run(services: Services) -> Result:
        try:
            return await work(services[ClientService])
        except Problem as problem:
            reasons = [_explained({"loc": error["location"], "msg": error["reason"]}) for error in problem.errors or ()]
            fail("\n".join(reasons) or problem.detail)

    return run_with_services(run)


def _explained(error: Any) -> str:
    """Say what is wrong with an option, without its value."""
    where = ".".join(step for step in error["loc"] if step != "body" and isinstance(step, str))
    option = f"--{where.removesuffix('s').replace('_', '-')} " if where else ""
    return option + str(error["msg"]).removeprefix("Value error, ")
