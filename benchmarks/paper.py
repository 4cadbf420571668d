"""Write what `wsiseg profile --paper -o FOLDER` measured into docs/paper.md.

python benchmarks/paper.py FOLDER      a try: with --page ANOTHER.md
"""

import argparse
from pathlib import Path

from wsiseg.profiling.paper.tables import comparison
from wsiseg.profiling.report import tables
from wsiseg.profiling.report.document import markdown_table
from wsiseg.profiling.results import read_results

PAGE = Path(__file__).resolve().parents[1] / "docs" / "paper.md"
BEGIN, END = "<!-- written by benchmarks/paper.py -->\n", "<!-- end -->\n"


def main() -> None:
    """Read the results, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    results = read_results(options.folder / "results.json")
    first = results.measurements[0]
    machine = "; ".join(f"{key}: {value}" for key, value in results.machine.items())
    gone = tables.missing(
        [*results.missing, *(entry for item in results.measurements for entry in item.missing)]
    )
    lines = [f"{machine}; {first.size} px, {first.precision}. " + " ".join(results.notes), ""]
    lines += [*markdown_table(comparison(results)), ""]
    if gone is not None:
        lines += [*markdown_table(gone), ""]
    before, _, rest = options.page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    options.page.write_text(before + BEGIN + "\n".join(lines) + END + after, encoding="utf-8")
    print(f"written into {options.page}")


if __name__ == "__main__":
    main()
