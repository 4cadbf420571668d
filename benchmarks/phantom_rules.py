"""How far colour alone gets on phantoms, and how far the network: the rule that phantoms are held to.

    python benchmarks/phantom_rules.py [--model NAME_OR_FILE] [--count 16]

Draws its own phantoms (about a second each): training ones for the colour baseline, others of the same
ranges, and held-out ones whose stain, scanner and layout lie outside of those ranges.
"""

from __future__ import annotations

import argparse
import json

from wsiseg.datasets.phantom import PhantomSet, draw
from wsiseg.evaluation.phantom_rules import (
    ARCHITECTURE_IDS,
    COLOUR_LIMIT,
    NETWORK_MARGIN,
    fit_colour_baseline,
    score_colour_baseline,
    score_network,
)
from wsiseg.models import DEFAULT_MODEL, load_model
from wsiseg.training.tissue8_card import by_name, predictor


def pictures(ranges: str, first_seed: int, count: int, side_px: int, mpp: float):
    """Return (rgb, truth) pairs."""
    which = PhantomSet(ranges=ranges, first_seed=first_seed, count=count, side_px=side_px, mpp=mpp)
    return [draw(which, index) for index in range(count)]


def main() -> int:
    """Print the scores as JSON; 1 when the rule is broken."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=DEFAULT_MODEL)
    parser.add_argument("--count", type=int, default=16, help="held-out phantoms")
    parser.add_argument("--train-count", type=int, default=40, help="phantoms that the baseline learns from")
    parser.add_argument("--side", type=int, default=768, help="px")
    given = parser.parse_args()
    model = load_model(given.model)
    mpp = model.card.mpp
    baseline = fit_colour_baseline(pictures("training", 1_000_000, given.train_count, given.side, mpp))
    predict = predictor(model.network, model.card)
    result, kept = {}, True
    for name, ranges, seed in (
        ("same ranges, other phantoms", "training", 4_000_000),
        ("held out", "held-out", 3_000_000),
    ):
        truth = pictures(ranges, seed, given.count, given.side, mpp)
        colour = score_colour_baseline(baseline, truth)
        every, four = score_network(predict, truth)
        kept &= colour.better < COLOUR_LIMIT and four.mean_iou >= colour.better + NETWORK_MARGIN
        result[name] = {
            "phantoms": given.count,
            "four classes, colour baseline, own frequencies": round(colour.own, 4),
            "four classes, colour baseline, balanced": round(colour.balanced, 4),
            "four classes, network": round(four.mean_iou, 4),
            "four classes, network, IoU": by_name(four, ARCHITECTURE_IDS),
            "eight labels, network": round(every.mean_iou, 4),
            "eight labels, pixel accuracy": round(every.pixel_accuracy, 4),
        }
    print(json.dumps({"model": model.card.name, "rule kept": kept, **result}, indent=1))
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
