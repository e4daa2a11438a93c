"""Become an unprivileged user with few system calls, and run a program.

Its arguments are the number of the user, a file, and the program with its own. The file has the names of the system
calls that are allowed, as `SystemCallFilter=` of systemd does it; every other one ends the process. No program
that it starts gains a privilege.
"""

import ctypes
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

PR_SET_NO_NEW_PRIVS = 38
PR_SET_MDWE = 65
PR_MDWE_REFUSE_EXEC_GAIN = 1


def main() -> None:
    """Give everything up that the program does not need, and become the program."""
    user, calls, *program = sys.argv[1:]
    rules = only(Path(calls).read_text(encoding="utf-8").split())
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(int(user))
        os.setuid(int(user))
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # MemoryDenyWriteExecute=; kernels before 6.3 know it by systemd's filter alone.
    libc.prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0)
    rules.load()
    os.execv(program[0], program)  # noqa: S606  # no shell


def only(calls: list[str]) -> Any:  # noqa: ANN401  # it has no types
    """A filter that ends the process at every other system call."""
    import pyseccomp  # noqa: PLC0415  # it needs libseccomp, which not every system has

    rules = pyseccomp.SyscallFilter(pyseccomp.KILL_PROCESS)
    for call in calls:
        with suppress(OSError, ValueError):  # a name of another kind of processor
            rules.add_rule(pyseccomp.ALLOW, call)
    return rules


if __name__ == "__main__":
    main()
