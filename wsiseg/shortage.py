"""Tell what this machine lacks, memory or open files, from what is wrong with an input.

Libraries meet both with errors of any class. No input may be called damaged for want of them, and no pixels
unread.
"""

from __future__ import annotations

import errno
import mmap
import os

from wsiseg.errors import WsisegError

SPARE_BYTES = 64 * 2**20
"""Who can still have so much lacks no memory: then it was the input that asked for too much."""

MEMORY = "out of memory; free some"
FILES = "too many open files; allow more (ulimit -n)"

MEMORY_SAID = (
    "allocate memory",  # torch
    "bad_alloc",
    "bad allocation",
    "can't start new thread",
    "failed to map segment",  # a library that is loaded when it is needed
    "insufficient memory",  # libjpeg
    "out of memory",
    "resource temporarily unavailable",  # a thread that C++ cannot start
)
FILES_SAID = "too many open files"
NO_FILES = (errno.EMFILE, errno.ENFILE)


class ShortageError(WsisegError):
    """This machine lacks something; no input is to blame, and the same command goes on once there is more."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what}, and the same command goes on from here")


def shortage(error: BaseException) -> ShortageError | None:
    """Return what to say of an error that comes from a want of memory or open files; None for any other."""
    seen: BaseException | None = error
    while seen is not None:
        number = seen.errno if isinstance(seen, OSError) else None
        said = str(seen).lower() if isinstance(seen, RuntimeError | ImportError) else ""
        if number in NO_FILES or FILES_SAID in said:
            return ShortageError(FILES)
        if (
            isinstance(seen, MemoryError)
            or number == errno.ENOMEM
            or any(text in said for text in MEMORY_SAID)
        ):
            return ShortageError(MEMORY)
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    return None


def blame_no_input(why: object) -> None:
    """Raise ShortageError where something failed because this machine lacks what it takes.

    To be called with what went wrong, an error or its text, before an input is blamed for it.
    """
    cause = why if isinstance(why, BaseException) else None
    if FILES_SAID in str(why).lower() or not _can_open():
        raise ShortageError(FILES) from cause
    if not _has_memory():
        raise ShortageError(MEMORY) from cause


def _can_open() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in NO_FILES
    return True


def _has_memory() -> bool:
    try:
        mmap.mmap(-1, SPARE_BYTES).close()  # asked for, not touched: a damaged slide asks a thousand times
    except (MemoryError, OSError):
        return False
    return True
