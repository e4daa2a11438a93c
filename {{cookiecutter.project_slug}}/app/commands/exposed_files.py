"""What `manage check` finds about the files that the service writes: who can read them."""

from collections.abc import Iterator

from app.core.mail import transport as mail_transport
from app.core.private_files import readable_by_others
from app.core.settings.deploy_check import Finding, Level
from app.core.settings.model import Settings
from app.core.sqlite_file import sqlite_path


def exposed_files(settings: Settings) -> Iterator[Finding]:
    """Files of an earlier version, or copies, that other users of this machine can read."""
    file = sqlite_path(settings.database_url)
    # Its journals, and copies beside it.
    if file is not None and readable_by_others(file.parent.glob(f"{file.name}*")):
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
