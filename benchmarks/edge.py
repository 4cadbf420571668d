"""Measure espnet, enet and erfnet on this machine in one run, and write the figures into docs/edge.md.

python benchmarks/edge.py                      the whole: four sizes, 200 trials each
python benchmarks/edge.py --trials 3 --size 64x32      a try, with --page ANOTHER.md
"""

import argparse
from pathlib import Path

from wsiseg.inference.runtime import choose_runtime
from wsiseg.profiling.measure.run import Plan, measure
from wsiseg.profiling.published import SPEED_NOTES, SWEEP_SIZES
from wsiseg.profiling.report import tables
from wsiseg.profiling.report.document import markdown_table

PAGE = Path(__file__).resolve().parents[1] / "docs" / "edge.md"
BEGIN, END = "<!-- written by `make bench-edge` -->\n", "<!-- end -->\n"
MODELS = ("espnet", "enet", "erfnet")


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--size", action="append", help="WIDTHxHEIGHT; the four of the paper by default")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    sizes = [tuple(map(int, text.split("x"))) for text in options.size or ()] or SWEEP_SIZES
    plan = Plan(models=MODELS, sizes=sizes, choice=choose_runtime(), trials=options.trials)
    results = measure(plan, print)
    machine = "; ".join(f"{key}: {value}" for key, value in results.machine.items())
    ratio, power = tables.ratios(results.measurements), tables.power(results.measurements)
    gone = tables.missing([entry for item in results.measurements for entry in item.missing])
    lines = [f"{machine}; {plan.trials} trials, {plan.choice.precision}.", ""]
    lines += [*markdown_table(tables.overview(results.measurements)), ""]
    if ratio is not None:
        lines += ["Ratios to ESPNet, beside the paper's:", "", *markdown_table(ratio), ""]
    lines += [*(f"- {note}." for note in SPEED_NOTES), ""]
    if power is not None:
        lines += [*markdown_table(power), ""]
    if gone is not None:
        lines += [*markdown_table(gone), ""]
    before, _, rest = options.page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = before + BEGIN + "\n".join(lines) + END + after
    options.page.write_text(text, encoding="utf-8")
    print(f"written into {options.page}")


if __name__ == "__main__":
    main()
