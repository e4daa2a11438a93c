"""A folder in memory: making files takes a disk up to ten times longer after others have been deleted."""

import os
import shutil
import sys
from pathlib import Path

FOLDER = Path("/dev/shm")  # noqa: S108  # what is put there gets a folder of its own


def memory_folder(*, free: int) -> Path | None:
    """Where a system keeps files in memory, if programs may run there and so many bytes are free."""
    if sys.platform != "linux" or not FOLDER.is_dir() or not os.access(FOLDER, os.W_OK):
        return None
    may_run = not os.statvfs(FOLDER).f_flag & os.ST_NOEXEC
    return FOLDER if may_run and shutil.disk_usage(FOLDER).free >= free else None
