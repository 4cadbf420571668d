"""Checks of a data set's folder when it is opened: what is missing first, and how many."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from wsiseg.errors import InputRefusedError

MAX_LIST_BYTES = 50_000_000
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def need_root(root: Path) -> None:
    """Raise InputRefusedError where the folder of the data set is not there."""
    if not root.is_dir():
        raise InputRefusedError(
            f"data.root is {root}: no such folder; set it in the config or with --set data.root=FOLDER"
        )


def need_folder(folder: Path, why: str) -> Path:
    """Return a folder; raise InputRefusedError, saying what it is for, where it is not there."""
    if not folder.is_dir():
        raise InputRefusedError(f"{folder}: no such folder; {why}")
    return folder


def need_all(paths: Sequence[Path], what: str) -> None:
    """Raise InputRefusedError with the first of the files that are missing, and how many are."""
    missing = [path for path in paths if not path.is_file()]
    if missing:
        more = "" if len(missing) == 1 else f", and {len(missing) - 1} more"
        raise InputRefusedError(
            f"{missing[0]}: missing{more} ({len(missing)} of {len(paths)} {what}); complete the copy"
        )


def need_some(count: int, folder: Path, pattern: str) -> None:
    """Raise InputRefusedError where nothing was found."""
    if count == 0:
        raise InputRefusedError(f"{folder}: holds no {pattern}; expected the official layout")


def count_warning(found: int, official: int | None, what: str) -> tuple[str, ...]:
    """Return a warning where a copy does not have the official number of pictures."""
    if official is None or found == official:
        return ()
    return (
        f"{what}: {found} pictures, officially {official}: scores cannot be compared with published ones",
    )


def read_names(path: Path) -> list[str]:
    """Return the names in a list file, one per line; a name is no path. Raises InputRefusedError."""
    try:
        if path.stat().st_size > MAX_LIST_BYTES:
            raise InputRefusedError(f"{path}: is too large for a list of names")
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputRefusedError(f"{path}: the list cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputRefusedError(f"{path}: is no text: expected a list of names, one per line") from error
    names = [line.strip() for line in lines if line.strip()]
    for number, name in enumerate(names, 1):
        if not _NAME.fullmatch(name):
            raise InputRefusedError(
                f"{path}: name {number} is {name[:80]!r}: expected a picture's name without folder and ending"
            )
    twice = len(names) - len(set(names))
    if twice:
        raise InputRefusedError(f"{path}: {twice} names stand there more than once; list each picture once")
    need_some(len(names), path, "names")
    return names
