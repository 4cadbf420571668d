"""Write what is installed here for the tests: python requirements/lock.py.

requirements/test.lock.txt gets the version of every package that `wsiseg[dev]` needs, directly or not;
docs/licences.md the licence that each states of itself. Run it in an environment that `make setup` made and
in which `make check` passed.
"""

from __future__ import annotations

import itertools
import platform
import sys
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements" / "test.lock.txt"
LICENCES = ROOT / "docs" / "licences.md"
START, END = "<!-- licences -->", "<!-- end -->"
LONGEST = 100


def needed() -> dict[str, metadata.Distribution]:
    """Return every package that pyproject.toml asks for in any extra but napari's, and what those need."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {name: asked for name, asked in project["optional-dependencies"].items() if name != "napari"}
    waiting = [Requirement(text) for text in [*project["dependencies"], *itertools.chain(*extras.values())]]
    found: dict[str, metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        asked = waiting.pop()
        name, own = canonicalize_name(asked.name), frozenset(asked.extras)
        if (name, own) in seen or name == "wsiseg":
            continue
        seen.add((name, own))
        found[name] = metadata.distribution(asked.name)
        for text in found[name].requires or []:
            further = Requirement(text)
            wanted = [{"extra": extra} for extra in own or ("",)]
            if further.marker is None or any(further.marker.evaluate(extra) for extra in wanted):
                waiting.append(further)
    return found


def licence_of(package: metadata.Distribution) -> str:
    """Return what a package's metadata say of its licence, in a few words."""
    said = package.metadata.get("License-Expression") or ""
    kinds = [
        text.rpartition(" :: ")[2]
        for text in package.metadata.get_all("Classifier") or []
        if text.startswith("License :: ") and text.count(" :: ") > 1
    ]
    free_text = (package.metadata.get("License") or "").strip().splitlines()
    said = said or "; ".join(kinds) or (free_text[0] if free_text else "")
    if not said:
        return "not stated: see the package"
    return said if len(said) <= LONGEST else f"{said[:LONGEST]}..."


def main() -> None:
    """Write both files."""
    found = needed()
    names = sorted(found)
    head = [
        "# What the tests passed with: every package that wsiseg[dev] needs, of one environment.",
        f"# Python {platform.python_version()}, {sys.platform}, {platform.machine()}; requirements/lock.py",
        "# pip install -r requirements/test.lock.txt && pip install --no-deps -e .",
    ]
    lines = [f"{name}=={found[name].version.partition('+')[0]}" for name in names]
    LOCK.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")
    rows = ["| package | version | licence, as the package states it |", "|---|---|---|"]
    for name in names:
        version = found[name].version.partition("+")[0]
        rows.append(f"| {name} | {version} | {licence_of(found[name]).replace('|', '/')} |")
    text = LICENCES.read_text(encoding="utf-8")
    before, _, rest = text.partition(START)
    after = rest.partition(END)[2]
    LICENCES.write_text(f"{before}{START}\n" + "\n".join(rows) + f"\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
