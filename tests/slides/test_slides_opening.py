from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slide_files import halves, picture, write_ome_zarr, write_tiff
from typer.testing import CliRunner

from wsiseg.cli.info import app
from wsiseg.errors import InputRefusedError, SlideRefusedError, UsageError
from wsiseg.slides import (
    BACKENDS,
    ArraySlide,
    brightfield_warning,
    describe,
    open_slide,
    parse_mpp,
    resolve_mpp,
    slide_id,
)
from wsiseg.slides.base import build_levels


def test_importing_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys, time; start = time.perf_counter(); import wsiseg.slides; "
        "print(time.perf_counter() - start); "
        "print([m for m in ('torch', 'zarr', 'openslide', 'pydicom', 'tifffile') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, loaded = done.stdout.splitlines()
    assert float(seconds) < 0.1
    assert loaded == "[]"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken-not-a-tiff.svs", "is no TIFF"),
        ("unreadable.svs", "cannot be read"),
        ("unopenable.tiff", "compression 52479"),
        ("absent.svs", "no such file"),
        ("", "a folder without DICOM files or OME-Zarr metadata"),
        ("../README.md", "a text file"),
    ],
)
def test_what_is_no_slide(shared_data: Path, name: str, said: str) -> None:
    with pytest.raises(SlideRefusedError, match=said) as refused:
        open_slide(shared_data / "slides" / name)
    assert "expected" in str(refused.value) or "no such" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_empty_and_unknown_files(tmp_path: Path) -> None:
    for content, said in (
        (b"", "is empty"),
        (b"hello there", "a text file"),
        (b"\0\1\2\3" * 50, "unknown kind"),
    ):
        (tmp_path / "a.bin").write_bytes(content)
        with pytest.raises(SlideRefusedError, match=said):
            open_slide(tmp_path / "a.bin")


def test_backends_by_name(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tiff", [picture()])
    for name in ("tiff", "openslide"):
        with open_slide(path, backend=name) as slide:
            assert slide.backend == name
    with pytest.raises(
        UsageError, match=f"unknown slide backend 'vips': expected one of {', '.join(sorted(BACKENDS))}"
    ):
        open_slide(path, backend="vips")
    with pytest.raises(SlideRefusedError, match="cannot be opened as OME-Zarr"):
        open_slide(path, backend="ome-zarr")


def test_a_slide_that_cannot_be_decoded_anywhere_is_refused(tmp_path: Path) -> None:
    path = write_tiff(tmp_path / "a.tiff", halves(picture(), 2), compression="jpeg")
    data = bytearray(path.read_bytes())
    at = 0
    while (at := data.find(b"\xff\xda", at)) >= 0:  # every scan of every tile
        data[at : at + 20] = bytes(20)
        at += 20
    path.write_bytes(data)
    with pytest.raises(SlideRefusedError, match=r"cannot be read.*nor could 8 other places"):
        open_slide(path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.svs", "a"),
        ("a.b.svs", "a.b"),
        ("CMU-1.jpeg.tiff", "CMU-1"),
        ("a.ome.tiff", "a"),
        ("A.OME.TIF", "A"),
        ("a.ome.zarr", "a"),
        ("a.ome.zarr/", "a"),
        ("fluorescence-DAPI-2-(387).ndpi", "fluorescence-DAPI-2-(387)"),
        ("crop_4800_1.33.png", "crop_4800_1.33"),
        ("folder/series/1.2.3.dcm", "series"),
        ("no-suffix", "no-suffix"),
        (".svs", ".svs"),
        ("a.wsiseg.ome.zarr", "a.wsiseg"),
        ("https://host/path/b%20c.ome.zarr", "b c"),
        ("https://host/path/b.zarr/?token=x", "b"),
        ("https://host/a%2F..%2Fb.zarr", "b"),
    ],
)
def test_ids(name: str, expected: str) -> None:
    assert slide_id(name) == expected


def test_ids_of_folders_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "case.zarr" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "case.zarr")
    assert slide_id(".") == slide_id("inner/..") == slide_id(tmp_path / "case.zarr") == "case"


@given(st.text(min_size=1, max_size=30))
def test_ids_are_file_names(text: str) -> None:
    assert "/" not in slide_id(f"https://host/{text}.zarr")


@pytest.mark.parametrize(
    ("text", "mpp"), [("0.25", (0.25, 0.25)), ("0.25,0.26", (0.25, 0.26)), ("10", (10, 10))]
)
def test_mpp_texts(text: str, mpp: tuple[float, float]) -> None:
    assert parse_mpp(text) == mpp


@pytest.mark.parametrize(
    "text", ["", "a", "0.25,", "1,2,3", "0", "-1", "0.049", "11", "nan", "inf", "0.25,nan"]
)
def test_wrong_mpp_texts(text: str) -> None:
    with pytest.raises(UsageError, match="--slide-mpp"):
        parse_mpp(text)


def test_mpp_is_known_or_asked_for(shared_data: Path) -> None:
    with open_slide(shared_data / "slides" / "tcga-jpeg2000-no-mpp.svs") as slide:
        with pytest.raises(InputRefusedError, match=r"tcga.*no pixel size: give it as --slide-mpp"):
            resolve_mpp(slide)
        assert resolve_mpp(slide, (0.25, 0.26)) == (0.25, 0.26)
        with pytest.raises(UsageError, match=r"--slide-mpp 0\.25,99"):
            resolve_mpp(slide, (0.25, 99))
    with open_slide(shared_data / "slides" / "CMU-1-wrong-mpp.jpeg.tiff") as slide:
        with pytest.raises(InputRefusedError, match=r"says 0\.00499 x 0\.00499 um/px, expected 0\.05 to 10"):
            resolve_mpp(slide)
        assert resolve_mpp(slide, (0.499, 0.499)) == (0.499, 0.499)
    with open_slide(shared_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        assert resolve_mpp(slide) == pytest.approx((0.499, 0.499))


@pytest.mark.parametrize(
    ("sizes", "factors"),
    [
        ([(2220, 2967), (1110, 1483), (555, 741), (277, 370), (138, 185)], [1, 2, 4, 8, 16]),
        ([(4443, 3567), (2221, 1783)], [1, 2]),
        ([(46000, 32914), (11500, 8228), (2875, 2057)], [1, 4, 16]),
        ([(72448, 152080), (141, 297)], [1, 512]),
        ([(2220, 2967), (8, 11), (2, 2), (1, 1)], [1, 256, 1024, 2048]),
        ([(900, 600), (300, 200)], [1, 3]),
    ],
)
def test_rounded_sizes_do_not_change_the_factor(sizes: list[tuple[int, int]], factors: list[float]) -> None:
    assert [level.downsample for level in build_levels(sizes)] == factors


def test_factors_that_are_no_whole_numbers() -> None:
    assert build_levels([(2220, 2967), (574, 768)])[1].downsample == pytest.approx(3.8654, abs=1e-4)


@given(st.integers(1000, 200_000), st.integers(1000, 200_000), st.integers(1, 64), st.sampled_from([0, 1]))
def test_a_power_of_two_is_found_however_sizes_were_rounded(w: int, h: int, power: int, up: int) -> None:
    factor = 2 ** (power % 7)
    size = (w + up * (factor - 1)) // factor, (h + up * (factor - 1)) // factor
    assert build_levels([(w, h), size])[1].downsample == factor


HE = [
    "CMU-1-Small-Region.svs",
    "CMU-1-Small-Region.ome.zarr",
    "CMU-1-Small-Region-dicom",
    "CMU-1-dicom-colour-lies",
]
HE += ["CMU-1-wrong-mpp.jpeg.tiff", "tcga-jpeg2000-no-mpp.svs"]


@pytest.mark.parametrize("name", HE)
def test_brightfield_slides_pass(shared_data: Path, name: str) -> None:
    with open_slide(shared_data / "slides" / name) as slide:
        assert brightfield_warning(slide) is None


def test_brightfield_crops_pass(shared_data: Path) -> None:
    for path in sorted((shared_data / "breast_patches" / "rgb").iterdir()):
        with open_slide(path) as slide:
            assert brightfield_warning(slide) is None


@pytest.mark.parametrize("name", ["fluorescence-DAPI-2-(387).ndpi", "Mirax2-Fluorescence-2.mrxs"])
def test_fluorescence_is_named(shared_data: Path, name: str) -> None:
    with open_slide(shared_data / "slides" / name) as slide:
        assert "fluorescence?" in (brightfield_warning(slide) or "")


def test_other_colours_are_named() -> None:
    green = picture()[..., [1, 2, 0]]
    with ArraySlide(green) as slide:
        assert "are green" in (brightfield_warning(slide) or "")
    with ArraySlide(picture()) as slide:
        assert brightfield_warning(slide) is None
    with ArraySlide(np.full((300, 300, 3), 255, np.uint8)) as slide:
        assert brightfield_warning(slide) is None


def test_large_levels_are_only_sampled() -> None:
    class Large:
        shape, dtype, read_px = (200_000, 100_000, 3), np.dtype(np.uint8), 0

        def __getitem__(self, key: tuple[slice, slice]) -> np.ndarray:
            shape = (key[0].stop - key[0].start, key[1].stop - key[1].start, 3)
            self.read_px += shape[0] * shape[1]
            return np.full(shape, (10, 10, 60), np.uint8)

    large = Large()
    with ArraySlide(large) as slide:
        assert "dark" in (brightfield_warning(slide) or "")
    assert large.read_px <= 25 * 256 * 256


def _run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments))


def test_info_of_a_slide(shared_data: Path) -> None:
    path = str(shared_data / "slides" / "tcga-jpeg2000-no-mpp.svs")
    done = _run(path)
    assert done.exit_code == 0
    for expected in (
        "tcga-jpeg2000-no-mpp.svs",
        "aperio, read by tiff",
        "4,443 x 3,567 px",
        "2,221",
        "give --slide-mpp",
    ):
        assert expected in done.stdout
    found = json.loads(_run(path, "--json").stdout)
    assert found["levels"][1] == {
        "level": 1,
        "width_px": 2221,
        "height_px": 1783,
        "downsample": 2.0,
        "mpp": None,
    }
    assert found["associated_images"] == {"thumbnail": [956, 768]}
    with open_slide(path) as slide:
        assert found == json.loads(json.dumps(describe(slide)))


def test_redacted_info_names_nothing(shared_data: Path) -> None:
    for name in ("CMU-1-Small-Region.svs", "CMU-1-dicom-colour-lies", "CMU-1-Small-Region.ome.zarr"):
        for options in (["--redact"], ["--redact", "--json"]):
            done = _run(str(shared_data / "slides" / name), *options)
            assert done.exit_code == 0
            assert "CMU" not in done.stdout
            assert "2967" in done.stdout.replace(",", "")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_info_of_a_result(tmp_path: Path, version: str) -> None:
    import zarr

    store = write_ome_zarr(tmp_path / "patient.wsiseg.ome.zarr", [picture(64, 48)], version=version)
    own = {"version": "0.1.0", "source": {"name": "patient.svs"}, "model": {"sha256": "ab"}}
    zarr.open_group(store, mode="r+").attrs["wsiseg"] = own
    assert json.loads(_run(str(store), "--json").stdout) == {"result": own}
    assert "a result of wsiseg" in _run(str(store)).stdout
    for options in (["--redact"], ["--redact", "--json"]):
        assert "patient" not in _run(str(store), *options).stdout
    (store / ("zarr.json" if version == "0.5" else ".zattrs")).write_text("{")
    assert isinstance(_run(str(store)).exception, InputRefusedError)
