"""Ctrl-C and ended children reach a process whose runtimes have come and gone."""

import subprocess
import sys

BUILT_AND_GONE = """
import gc, os, signal
from wsiseg.inference.runtime import build_runtime, choose_runtime
from wsiseg.models import load_model

signal.signal(signal.SIGINT, lambda *_: print("delivered"))
model = load_model("tissue8-demo")
choice = choose_runtime("openvino", "fp32")
older, younger = (build_runtime(choice, model, (64, 64)) for _ in range(2))
del older
gc.collect()
del younger
gc.collect()
os.kill(os.getpid(), signal.SIGINT)
"""


def test_a_signal_is_delivered_after_runtimes_went_in_any_order():
    done = subprocess.run([sys.executable, "-c", BUILT_AND_GONE], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "delivered\n"), done.stderr
