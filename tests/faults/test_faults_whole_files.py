"""A file appears whole or not at all, and what a killed writer left goes with the next write."""

import os
import signal
import subprocess
import sys

import pytest

from wsiseg.whole_files import appears_whole

pytestmark = pytest.mark.skipif(os.name == "nt", reason="there a writer that died is not told from another")

KILLED = """
import os, sys
from pathlib import Path
from wsiseg.whole_files import appears_whole
with appears_whole(Path(sys.argv[1])) as temporary:
    temporary.write_bytes(b"half of i")
    os.kill(os.getpid(), 9)
"""


def names(folder):
    return sorted(item.name for item in folder.iterdir())


def killed_writer(path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(path)], timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL


def test_a_killed_writer_leaves_nothing_for_long(tmp_path):
    path = tmp_path / "result[1].json"
    killed_writer(path)
    killed_writer(path)
    (left,) = names(tmp_path)  # the second one has removed what the first one left
    assert left.endswith(".partial")
    with appears_whole(path) as temporary:
        assert names(tmp_path) == []
        temporary.write_bytes(b"all of it")
    assert path.read_bytes() == b"all of it"
    assert names(tmp_path) == ["result[1].json"]


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    path = tmp_path / "a.json"
    with appears_whole(path) as mine:
        mine.write_bytes(b"mine")
        parent = mine.with_name(mine.name.replace(f"-{os.getpid()}.", f"-{os.getppid()}."))
        parent.write_bytes(b"another's")
        code = (
            "import sys; from pathlib import Path; from wsiseg.whole_files import appears_whole\n"
            "with appears_whole(Path(sys.argv[1])) as temporary: temporary.write_bytes(b'third')"
        )
        subprocess.run([sys.executable, "-c", code, str(path)], timeout=120, check=True)
        assert path.read_bytes() == b"third"
        assert mine.read_bytes() == b"mine"
    assert path.read_bytes() == b"mine"
    assert parent.read_bytes() == b"another's"


def test_files_of_other_names_machines_and_kinds_are_left_alone(tmp_path):
    path = tmp_path / "a.json"
    with appears_whole(path) as temporary:
        temporary.write_bytes(b"")
        pattern = temporary.name
    host = pattern.split(".")[3].split("-")[0]
    others = [f".b.json.{host}-999999999.partial", ".a.json.00000000-999999999.partial", "a.json.txt"]
    for name in others:
        (tmp_path / name).write_bytes(b"kept")
    with appears_whole(path) as temporary:
        temporary.write_bytes(b"new")
    assert names(tmp_path) == sorted(["a.json", *others])


def test_an_error_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    path.write_bytes(b"before")

    def fail():
        with appears_whole(path) as temporary:
            temporary.write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["a.json"]
