"""What `manage check` finds about the files that the service writes: who can read them."""

from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import make_url

from app.core import mail_transport
from app.core.deploy_check import Finding, Level
from app.core.private_files import readable_by_others
from app.core.settings import Settings


def file_findings(settings: Settings) -> Iterator[Finding]:
    """Files of an earlier version, or copies, that other users of this machine can read."""
    url = make_url(settings.database_url.get_secret_value())
    if url.get_backend_name() == "sqlite" and url.database:
        file = Path(url.database)
        # Its journals, and copies beside it.
        if readable_by_others(file.parent.glob(f"{file.name}*")):
            yield Finding(
                "files.E001",
                Level.ERROR,
                "DATABASE_URL",
                "names a file that other users of this machine can read, or has such a file beside it",
                f"Run: chmod go= {file}*",
            )
    folder = mail_transport.MAIL_FOLDER
    if readable_by_others(folder.glob("*")):
        yield Finding(
            "files.E002",
            Level.ERROR,
            str(folder),
            "holds mail that other users of this machine can read",
            f"Run: chmod -R go= {folder}",
        )
