"""Fixtures that every test folder shares."""

import os
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
