"""What goes wrong in a dask worker, by environment variables: loaded by each worker before it starts.

FAULT is "kill" or "hang", FAULT_SLIDE the slide at which, FAULT_LINES the line of its journal, and FAULT_MARK
a file that says that it has happened: it happens once, in whichever process comes first.
"""

import os
import signal
import threading

from wsiseg.pyramid.journal import Journal


def dask_setup(worker):
    """Make this process fail where it appends a line to the journal of one slide."""
    append = Journal._append

    def append_and_fail(journal, entry):
        append(journal, entry)
        if journal.folder.name != f"{os.environ['FAULT_SLIDE']}.wsiseg-work":
            return
        if journal._path.read_bytes().count(b"\n") < int(os.environ["FAULT_LINES"]):
            return
        try:
            os.close(os.open(os.environ["FAULT_MARK"], os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return
        if os.environ["FAULT"] == "kill":
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        threading.Event().wait()

    Journal._append = append_and_fail
