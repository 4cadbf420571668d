"""Fixtures that every test folder shares."""

import os
import signal
import threading
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real slides, crops and weights; the test is skipped where it is absent."""
    folder = Path(
        os.environ.get("WSISEG_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    )
    if not (folder / "README.md").is_file():
        pytest.skip(f"needs the shared data folder, absent here: {folder.name} (set WSISEG_SHARED_DATA)")
    return folder


@pytest.fixture(autouse=True)
def no_handler_of_dead_children():
    """Take away the SIGCHLD handler that torch's DataLoader leaves behind.

    On a CPU with AMX, after a network ran in bfloat16, the next child that ended took the whole run along
    with a segmentation fault: the signal could not be delivered.
    """
    yield
    if hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
