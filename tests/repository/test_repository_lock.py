"""The lock of the test dependencies: complete, of versions that pyproject.toml allows, and plain."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LINE = re.compile(r"[a-z0-9][a-z0-9-]*==[0-9][0-9a-z.]*")


def locked():
    lines = (ROOT / "requirements" / "test.lock.txt").read_text(encoding="utf-8").splitlines()
    entries = [line for line in lines if not line.startswith("#")]
    assert [line for line in entries if not LINE.fullmatch(line)] == []  # no host, no build, no hash
    assert entries == sorted(entries, key=lambda line: line.partition("==")[0])
    return dict(line.split("==") for line in entries)


def test_every_dependency_is_locked_to_a_version_that_is_allowed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = locked()
    texts = list(project["dependencies"])
    for name, asked in project["optional-dependencies"].items():
        texts += asked if name != "napari" else []  # the window has an environment of its own
    for requirement in map(Requirement, texts):
        name = canonicalize_name(requirement.name)
        if name != "wsiseg":
            assert requirement.specifier.contains(versions[name], prereleases=True), (
                f"{name} {versions[name]}"
            )


def test_the_licence_of_every_locked_package_is_listed():
    text = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    for name, version in locked().items():
        assert f"| {name} | {version} |" in text
