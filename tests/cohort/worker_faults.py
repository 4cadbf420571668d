"""What goes wrong in a dask worker, by environment variables: loaded by each worker before it starts.

FAULT is "kill" or "hang", or "kill-cell" or "hang-cell" where the slide is spread; FAULT_SLIDE the slide at
which, FAULT_LINES the line of its journal, and FAULT_MARK a file that says that it has happened: it happens
once, in whichever process comes first.
"""

import os
import signal
import threading

from wsiseg.pyramid.gate import Receipts
from wsiseg.pyramid.journal import Journal


def is_first():
    """Return whether the fault has not happened yet, in any process; from now on it has."""
    try:
        os.close(os.open(os.environ["FAULT_MARK"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def fail():
    """Die, or never come back."""
    if os.environ["FAULT"].startswith("kill"):
        os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
    threading.Event().wait()


def fail_after_a_cell():
    """Make this process fail once so many cells of a slide that is spread are done."""
    done = Receipts.done

    def done_and_fail(receipts, task, **facts):
        done(receipts, task, **facts)
        if len(list(receipts._gate.glob("*.json"))) >= int(os.environ["FAULT_LINES"]) and is_first():
            fail()

    Receipts.done = done_and_fail


def dask_setup(worker):
    """Make this process fail where it appends a line to the journal of one slide."""
    if os.environ["FAULT"].endswith("-cell"):
        fail_after_a_cell()
        return
    append = Journal._append

    def append_and_fail(journal, entry):
        append(journal, entry)
        if journal.folder.name != f"{os.environ['FAULT_SLIDE']}.wsiseg-work":
            return
        if journal._path.read_bytes().count(b"\n") < int(os.environ["FAULT_LINES"]) or not is_first():
            return
        fail()

    Journal._append = append_and_fail
