"""What the user points at, as a list of slides: a manifest, a folder, a pattern or one slide."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from wsiseg.cohort.entry import MOST_SLIDES, CohortSlide, check_distinct, check_id
from wsiseg.cohort.manifest import read_manifest
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.slides import slide_id
from wsiseg.slides.names import KNOWN_SUFFIXES, is_dicom, is_url

SLIDE_SUFFIXES = tuple(name for name in KNOWN_SUFFIXES if name not in (".ome", ".zarr", ".dcm"))
MANIFESTS = (".csv", ".tsv")


def find_slides(what: str) -> list[CohortSlide]:
    """Return the slides of a manifest, a folder (not of folders in it), a pattern or a path.

    What looks like a slide is listed, also where it turns out to be broken; ids are distinct. Raises
    UsageError where nothing does, or two slides would have one.
    """
    path = Path(what)
    if path.suffix.lower() in MANIFESTS and not is_url(what):
        slides = read_manifest(path)
    else:
        slides = _listed(what, path)
    check_distinct(slides)
    return slides


def _listed(what: str, path: Path) -> list[CohortSlide]:
    if is_url(what):
        found: Iterable[Path | str] = [what]
    elif path.is_dir():
        found = (
            [path] if _is_slide_folder(path) else sorted(item for item in path.iterdir() if _is_slide(item))
        )
    elif path.exists():
        found = [path]
    else:
        names = glob.iglob(what, recursive=True)  # noqa: PTH207  a pattern may be absolute
        found = sorted(item for name in names if _is_slide(item := Path(name)))
    slides = list(islice((slide for item in found for slide in _slides_of(item)), MOST_SLIDES + 1))
    if not slides:
        raise UsageError(
            f"{what}: no slide found: expected a CSV manifest, a folder with slides, or a pattern such as "
            f"'slides/*.svs'"
        )
    if len(slides) > MOST_SLIDES:
        raise UsageError(f"{what}: more than {MOST_SLIDES:,} slides: split them over several batches")
    return slides


def _slides_of(item: Path | str) -> Iterator[CohortSlide]:
    """Yield what a path stands for: a DICOM folder is one slide per series."""
    if isinstance(item, Path) and item.is_dir() and not _is_zarr(item):
        series = _series(item)
        if len(series) > 1:
            for uid, member in sorted(series.items()):
                yield _entry(f"{slide_id(item)}-{uid.rsplit('.', 1)[-1]}", str(member))
            return
    yield _entry(slide_id(item), str(item))


def _entry(name: str, source: str) -> CohortSlide:
    check_id(name, source)
    return CohortSlide(id=name, source=source if is_url(source) else str(Path(source).absolute()))


def _series(folder: Path) -> dict[str, Path]:
    """Return the whole-slide series of a DICOM folder, each with its first file."""
    from wsiseg.slides.dicom_files import read_instance

    series: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if not file.is_file() or not is_dicom(file):
            continue
        try:
            instance = read_instance(file)
        except InputRefusedError:  # opening the slide will say why
            continue
        if instance is not None:
            series.setdefault(instance.series, file)
    return series


def _is_slide(item: Path) -> bool:
    if item.name.startswith("."):
        return False
    return _is_slide_folder(item) if item.is_dir() else item.name.lower().endswith(SLIDE_SUFFIXES)


def _is_slide_folder(folder: Path) -> bool:
    if _is_zarr(folder):
        return not folder.name.endswith(".wsiseg.ome.zarr")
    return any(item.is_file() and is_dicom(item) for item in folder.iterdir())


def _is_zarr(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (".zattrs", ".zgroup", "zarr.json"))
