"""Run a program as another user: PostgreSQL refuses to run as root.

    python -I unprivileged.py UID GID PROGRAM [ARGUMENT ...]

A project folder that only root may enter (mode 0700) stays as it is: on Linux the program keeps
the one capability that lets it pass (CAP_DAC_OVERRIDE), instead of a wider mode on every parent.
"""

import ctypes
import os
import sys

# linux/prctl.h and linux/capability.h
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAPABILITY_VERSION_3 = 0x20080522


def _keep_passage(libc: ctypes.CDLL) -> None:
    mask = 1 << _CAP_DAC_OVERRIDE
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # effective, permitted, inheritable: the low words, then the high ones
    data = (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0)
    if libc.capset(header, data) == 0:
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)


def main(arguments: list[str]) -> None:
    """Become the user, keep the passage where the system can, and run the program."""
    uid, gid, *command = arguments
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None:
        libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(int(gid))
    os.setuid(int(uid))
    if libc is not None:
        _keep_passage(libc)
    os.execv(command[0], command)  # noqa: S606 - a list of arguments, no shell


if __name__ == "__main__":
    main(sys.argv[1:])
