"""A verb that native code takes down is reported by name; everything else passes through."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

START = "import os, sys, time; from wsiseg.cli.contained import contained, working_on\n"


def run(verb):
    code = f"{START}{verb}\ncontained(verb)"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    "crash", ["os.abort()", "os.kill(os.getpid(), 5)", "__import__('ctypes').string_at(0)"]
)
def test_a_native_crash_names_the_file(crash):
    done = run(f"def verb():\n    working_on('bad.svs')\n    {crash}")
    assert done.returncode == 3
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("wsiseg: bad.svs: a native library crashed on it (SIG")


def test_exit_codes_and_words_pass_through():
    done = run("def verb():\n    print('said')\n    sys.exit(4)")
    assert (done.returncode, done.stdout, done.stderr) == (4, "said\n", "")
    assert run("def verb():\n    pass").returncode == 0


def test_the_end_is_tidy_though_quick():
    done = run(
        "def verb():\n"
        "    import atexit, tempfile\n"
        "    atexit.register(lambda: print('last words'))\n"
        "    global folder; folder = tempfile.TemporaryDirectory(); print(folder.name)\n"
        "    sys.exit(0)"
    )
    folder, words = done.stdout.splitlines()
    assert (done.returncode, words) == (0, "last words")
    assert not Path(folder).exists()
    assert run("def verb():\n    sys.exit('in words')").returncode == 1


def test_what_is_no_crash_is_not_called_one():
    done = run("def verb():\n    os.kill(os.getpid(), 9)")
    assert (done.returncode, done.stderr) == (128 + 9, "")


def test_termination_is_handed_on():
    verb = "def verb():\n    print('up', flush=True)\n    time.sleep(100)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{START}{verb}\ncontained(verb)"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as child:
        assert child.stdout.readline() == b"up\n"
        child.send_signal(signal.SIGTERM)
        assert child.stdout.read() == b""  # ends when the last holder of the pipe has died
        assert child.wait(60) == 128 + signal.SIGTERM


def test_a_killed_command_takes_its_child_along():
    verb = "def verb():\n    print('up', flush=True)\n    time.sleep(100)"
    with subprocess.Popen(
        [sys.executable, "-c", f"{START}{verb}\ncontained(verb)"], stdout=subprocess.PIPE
    ) as child:
        assert child.stdout.readline() == b"up\n"
        child.kill()
        assert child.stdout.read() == b""
