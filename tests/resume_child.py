"""Predict slowly enough to be killed: python resume_child.py SLIDE OUT NGFF SECONDS_PER_TILE."""

import sys
import time

from small_models import integer_model

from wsiseg import PredictOptions, segment_slide


def options_for(ngff="0.5", **changes):
    common = {
        "model": integer_model(),
        "slide_mpp": (1.0, 1.0),
        "tissue": "none",
        "tile_px": 256,
        "halo_px": 48,
        "runtime": "torch",
        "precision": "fp32",
        "block_px": 512,
        "ngff": ngff,
    }
    return PredictOptions(**(common | changes))


def main():
    slide, out, ngff, seconds = sys.argv[1:]
    segment_slide(slide, out, options_for(ngff), progress=lambda done, total: time.sleep(float(seconds)))


if __name__ == "__main__":
    main()
