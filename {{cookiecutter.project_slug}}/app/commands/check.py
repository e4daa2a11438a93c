"""`manage check`: check the settings and the files of the service, for people and for pipelines."""

import asyncio
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import typer
from sqlalchemy import text

from app.assembly import load_settings
from app.commands.support import say
from app.core.database.database import UNAVAILABLE_ERRORS, Database
from app.core.mail import transport as mail_transport
from app.core.private_files import readable_by_others, sqlite_path
from app.core.settings import deploy_check, model as configuration
from app.core.settings.deploy_check import LEVELS, Finding, Level, finding
from app.core.settings.model import Settings
from app.core.settings.report import SettingsError

_MAY_CHANGE = text(
    "SELECT has_schema_privilege(current_schema(), 'CREATE')"
    " OR has_table_privilege(to_regclass('audit_events'), 'UPDATE, DELETE, TRUNCATE')"
)
_COLOURS = {"info": None, "warning": "yellow", "error": "red"}


def check(
    *,
    deploy: Annotated[bool, typer.Option("--deploy", help="Judge as for production, whatever ENVIRONMENT is.")] = False,
    fail_level: Annotated[Level, typer.Option(help="The least level that makes the exit code 1.")] = "error",
    output: Annotated[Literal["text", "json", "sarif"], typer.Option("--format", help="How to write them.")] = "text",
) -> None:
    """Check the settings, and who can read the files of the service.

    Exit code 1 if a finding is of --fail-level or above; no finding shows a secret.
    """
    findings = _findings(deploy=deploy)
    if output == "json":
        say(json.dumps([each._asdict() for each in findings], indent=2))
    elif output == "sarif":
        say(json.dumps(_sarif(findings), indent=2))
    else:
        for each in findings:
            say(f"{each.level:<8}{each.setting} {each.message}. {each.hint}", colour=_COLOURS[each.level])
        if not findings:
            say("Nothing to say against the settings.")
    levels = list(LEVELS.values())
    if any(levels.index(each.level) >= levels.index(fail_level) for each in findings):
        raise typer.Exit(1)


def _findings(*, deploy: bool) -> list[Finding]:
    try:
        settings = load_settings()
    except SettingsError as error:
        return [finding("settings.E001", *problem) for problem in error.problems]
    findings = [*deploy_check.variable_findings(settings), *deploy_check.file_findings(settings)]
    if deploy:
        findings += deploy_check.deploy_findings(settings, configuration.ENV_FILE)
        findings += deploy_check.refused_in_production(settings, findings)
        if sqlite_path(settings.database_url) is None and asyncio.run(_may_change_schema_or_trail(settings)):
            message = "connects as a role that may change the schema or the audit trail"
            hint = "Let another one serve than the one that migrates (docs/deployment.md)"
            findings.append(finding("deploy.W013", "DATABASE_URL", message, hint))
    return [*findings, *_exposed_files(settings)]


async def _may_change_schema_or_trail(settings: Settings) -> bool:
    """Return whether PostgreSQL says so; a server that does not answer is found by `manage doctor`."""
    async with Database(settings.database_url) as database:
        try:
            async with asyncio.timeout(5), database.read() as db:
                return bool(await db.scalar(_MAY_CHANGE))
        except (TimeoutError, *UNAVAILABLE_ERRORS):
            return False


def _exposed_files(settings: Settings) -> Iterator[Finding]:
    """Find files of an earlier version, or copies, that other users of this machine can read."""
    file = sqlite_path(settings.database_url)
    # Its journals, and copies beside it.
    if file is not None and readable_by_others(file.parent.glob(f"{file.name}*")):
        message = "names a file that other users of this machine can read, or has such a file beside it"
        yield finding("files.E001", "DATABASE_URL", message, f"Run: chmod go= {file}*")
    folder = mail_transport.MAIL_FOLDER
    if readable_by_others(folder.glob("*")):
        message = "holds mail that other users of this machine can read"
        yield finding("files.E002", str(folder), message, f"Run: chmod -R go= {folder}")


def _sarif(findings: list[Finding]) -> dict[str, Any]:
    """Make a SARIF 2.1.0 document, which code scanning services read."""
    results = [
        {
            "ruleId": each.id,
            "level": "note" if each.level == "info" else each.level,
            "message": {"text": f"{each.setting} {each.message}. {each.hint}"},
            "locations": [{"physicalLocation": {"artifactLocation": {"uri": ".env"}}}],
        }
        for each in findings
    ]
    rules = [{"id": rule} for rule in dict.fromkeys(each.id for each in findings)]
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": {"name": "manage check", "rules": rules}}, "results": results}],
    }
