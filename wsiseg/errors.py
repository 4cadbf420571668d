"""Every error a user can cause, with the exit code it ends in.

A message says what was found, what was expected and what to do, in one line.
"""

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_UNREAD = 4
EXIT_SOME_FAILED = 5
EXIT_INTERRUPTED = 130


class WsisegError(Exception):
    """Base of all errors with a message meant for the user."""

    exit_code = 1


class UsageError(WsisegError):
    """Flags, configuration or outputs that contradict each other."""

    exit_code = EXIT_USAGE


class OutputBusyError(UsageError):
    """An output that another process is writing."""


class InputRefusedError(WsisegError):
    """A slide, model, mask or annotation that cannot be used."""

    exit_code = EXIT_REFUSED


class SlideRefusedError(InputRefusedError):
    """A file that is no slide, or one that would be shown wrongly."""


class ModelRefusedError(InputRefusedError):
    """A checkpoint or card that is damaged, incomplete or contradicts itself."""


class SlideReadError(WsisegError):
    """Pixels of an opened slide that could not be decoded. The handle that raised it may be dead."""

    exit_code = EXIT_REFUSED


class DivergedError(WsisegError):
    """A training whose loss or gradient stopped being finite."""


def choose(what: str, name: str, valid: object) -> str:
    """Return the message for a name that is not among the `valid` ones."""
    names = ", ".join(sorted(str(item) for item in valid))  # type: ignore[attr-defined]
    return f"unknown {what} {name!r}: expected one of {names}"
