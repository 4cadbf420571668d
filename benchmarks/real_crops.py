"""Measures a model on the three real breast crops: n = 3, anecdotal, at an assumed scale.

    python benchmarks/real_crops.py ../shared/data/breast_patches [--model NAME_OR_FILE]

The last number of a crop's name is taken as its down-sampling from 40x (0.25 um/px). The picture is
resampled by area to the model's mpp, the labels are compared at the crop's own size. Nothing is tuned here.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from wsiseg.evaluation.real_crops import NOTE, score_crops
from wsiseg.models import DEFAULT_MODEL, load_model
from wsiseg.training.tissue8_card import predictor


def main() -> None:
    """Print the IoU of each class of at least 1,000 px, per crop, as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="holds rgb/ and label/")
    parser.add_argument("--model", default=DEFAULT_MODEL)
    given = parser.parse_args()
    model = load_model(given.model)
    rows = score_crops(given.folder, predictor(model.network, model.card), model.card.mpp)
    crops = [
        {
            "crop": row.name,
            "assumed um/px": row.assumed_mpp,
            "IoU": {name: round(value, 3) for name, value in row.iou.items()},
            "truth px": row.truth_px,
        }
        for row in rows
    ]
    print(json.dumps({"model": model.card.name, "note": NOTE, "crops": crops}, indent=1))


if __name__ == "__main__":
    main()
