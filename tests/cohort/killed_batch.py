"""Run a batch with a worker, and die by kill -9 once one is done: python killed_batch.py WHAT OUT MODEL."""

import os
import signal
import sys
from pathlib import Path

from wsiseg.cohort.batch import BatchOptions, run_batch
from wsiseg.cohort.book import StateBook
from wsiseg.cohort.clusters import LocalWorkers
from wsiseg.run.predict_options import PredictOptions


def main():
    what, output, model = sys.argv[1:]
    put = StateBook.put

    def put_and_die(book, slide_id, state, **facts):
        row = put(book, slide_id, state, **facts)
        if state == "done":
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        return row

    StateBook.put = put_and_die
    options = PredictOptions(
        model=model,
        tissue="none",
        runtime="torch",
        precision="fp32",
        tile_px=256,
        halo_px=32,
        block_px=512,
    )
    run_batch(
        what, Path(output), BatchOptions(predict=options, workers=LocalWorkers(cluster="local", workers=1))
    )


if __name__ == "__main__":
    main()
