from __future__ import annotations

import functools
import http.server
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import numcodecs
import numpy as np
import pytest
import zarr
from contracts.slide_contract import SlideContract
from slide_files import halves, picture, write_ome_zarr

from wsiseg.errors import SlideReadError, SlideRefusedError
from wsiseg.geometry import Region
from wsiseg.slides import open_slide, slide_id
from wsiseg.slides.zarr_codecs import DamagedChunkError, check_blosc

SIZE = (520, 390)


class TestOmeZarr(SlideContract):
    @pytest.fixture(params=["0.5 tczyx", "0.5 yxc", "0.4 cyx", "0.4 zxytc"])
    def source(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        version, axes = request.param.split()
        return write_ome_zarr(tmp_path / "a.ome.zarr", halves(picture(*SIZE), 2), version=version, axes=axes)

    @pytest.fixture
    def truth(self) -> list[np.ndarray]:
        return halves(picture(*SIZE), 2)


class TestShardedOmeZarr(SlideContract):
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return write_ome_zarr(
            tmp_path / "a.zarr", halves(picture(*SIZE), 2), axes="cyx", shards=(3, 256, 256)
        )

    @pytest.fixture
    def truth(self) -> list[np.ndarray]:
        return halves(picture(*SIZE), 2)


def test_equals_the_svs(shared_data: Path) -> None:
    folder = shared_data / "slides"
    with (
        open_slide(folder / "CMU-1-Small-Region.svs") as svs,
        open_slide(folder / "CMU-1-Small-Region.ome.zarr") as store,
        open_slide(folder / "CMU-1-Small-Region.ome.zarr" / "0") as inner,
    ):
        whole = svs.levels[0].region
        assert store.levels[0].region == whole
        expected = svs.read_region(0, whole)
        np.testing.assert_array_equal(store.read_region(0, whole), expected)
        np.testing.assert_array_equal(inner.read_region(0, whole), expected)
        assert store.mpp == pytest.approx(svs.mpp)
        assert store.associated_images() == {"series 1": (387, 463), "series 2": (1280, 431)}
        assert slide_id(store.source) == slide_id(svs.source) == "CMU-1-Small-Region"
        # Its second level is a thumbnail, not half of the first, as its scale claims.
        assert store.levels[1].downsample == pytest.approx(3.865, abs=0.01)
        assert "level 1 says downsample 2" in store.warnings[0]


def _chunk_files(store: Path, level: str = "0") -> list[Path]:
    return sorted(
        item for item in (store / level).rglob("*") if item.is_file() and "zarr" not in item.name[-9:]
    )


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_missing_chunk_is_unread(tmp_path: Path, version: str) -> None:
    store = write_ome_zarr(tmp_path / "a.zarr", [picture(*SIZE)], version=version, axes="cyx")
    array = zarr.open_group(store, mode="r")["0"]
    key = array.metadata.encode_chunk_key((2, 1, 3))  # only the blue one
    (store / "0" / key).unlink()
    with open_slide(store) as slide:
        whole = slide.levels[0].region
        with pytest.raises(SlideReadError, match=rf"chunk {key} is missing"):
            slide.read_region(0, Region(400, 150, 10, 10))
        pixels, unread = slide.read_region_masked(0, whole)
        mask = np.zeros(whole.shape, bool)
        mask[128:256, 384:512] = True
        np.testing.assert_array_equal(unread, mask)
        assert (pixels[mask] == 255).all()
        np.testing.assert_array_equal(pixels[~mask], picture(*SIZE)[~mask])


def test_a_chunk_of_stored_black_is_black(tmp_path: Path) -> None:
    """Zarr leaves chunks out that are all fill value, unless told to write them."""
    pixels = picture(*SIZE)
    pixels[:128, :128] = 0
    for fill, unread_expected in ((9, False), (0, True)):
        store = write_ome_zarr(tmp_path / f"{fill}.zarr", [pixels], axes="cyx", fill_value=fill)
        with open_slide(store) as slide:
            read, unread = slide.read_region_masked(0, Region(0, 0, 128, 128))
            assert unread.all() == unread_expected == unread.any()
            assert (read == (255 if unread_expected else 0)).all()


def test_absent_means_white_where_the_fill_value_is_white(tmp_path: Path) -> None:
    pixels = picture(*SIZE)
    pixels[128:256, :128] = 255
    store = write_ome_zarr(tmp_path / "a.zarr", [pixels], axes="cyx", fill_value=255)
    assert len(_chunk_files(store)) == 3 * (5 * 4 - 1)
    with open_slide(store) as slide:
        np.testing.assert_array_equal(slide.read_region(0, slide.levels[0].region), pixels)


CODECS = {
    "0.4": [
        numcodecs.Blosc("lz4"),
        numcodecs.Blosc("zstd"),
        numcodecs.Zstd(),
        numcodecs.GZip(),
        numcodecs.LZ4(),
    ],
    "0.5": [zarr.codecs.BloscCodec(cname="lz4"), zarr.codecs.ZstdCodec(), zarr.codecs.GzipCodec()],
}


def _name(value: object) -> str:
    """Return an id that every process gives it; the text of a codec has sets in it."""
    return value if isinstance(value, str) else type(value).__name__


@pytest.mark.parametrize(
    ("version", "codec"), [(version, codec) for version in CODECS for codec in CODECS[version]], ids=_name
)
def test_a_truncated_chunk_is_unread(tmp_path: Path, version: str, codec: Any) -> None:
    """numcodecs' blosc does not see it: it reads on behind the buffer."""
    noise = np.random.default_rng(0).integers(0, 256, (390, 520, 3), dtype=np.uint8)
    store = write_ome_zarr(tmp_path / "a.zarr", [noise], version=version, axes="cyx", compressors=codec)
    key = zarr.open_group(store, mode="r")["0"].metadata.encode_chunk_key((0, 0, 1))
    file = store / "0" / key
    whole = file.read_bytes()
    for length in (len(whole) // 2, len(whole) - 1, 10, 0):
        file.write_bytes(whole[:length])
        with open_slide(store) as slide:
            with pytest.raises(SlideReadError, match="column 1, row 0"):
                slide.read_region(0, Region(130, 10, 10, 10))
            unread = slide.read_region_masked(0, slide.levels[0].region)[1]
            assert unread[:128, 128:256].all()
            assert unread.sum() == 128 * 128


@pytest.mark.parametrize("codec", [zarr.codecs.BloscCodec(cname="lz4"), zarr.codecs.ZstdCodec()], ids=_name)
def test_shards(tmp_path: Path, codec: Any) -> None:
    """A truncated shard is unread as a whole; a chunk that a whole shard leaves out is the fill value."""
    pixels = picture(512, 384)
    pixels[:128, 128:256] = 0
    options: dict[str, Any] = {"axes": "cyx", "shards": (3, 256, 256), "compressors": codec}
    store = write_ome_zarr(tmp_path / "a.zarr", [pixels], **options)
    file = store / "0" / "c" / "0" / "0" / "1"
    file.write_bytes(file.read_bytes()[:-200])
    with open_slide(store) as slide:
        read, unread = slide.read_region_masked(0, slide.levels[0].region)
        mask = np.zeros((384, 512), bool)
        mask[:256, 256:] = True
        np.testing.assert_array_equal(unread, mask)
        np.testing.assert_array_equal(read[~mask], pixels[~mask])
    file.unlink()
    with open_slide(store) as slide:
        np.testing.assert_array_equal(slide.read_region_masked(0, slide.levels[0].region)[1], mask)


def test_blosc_headers_that_lie_are_refused() -> None:
    sound = bytes(numcodecs.Blosc("lz4").encode(np.arange(5000, dtype=np.uint8)))
    check_blosc(sound[:16], len(sound))
    for header, length in (
        (sound[:16], len(sound) - 1),
        (sound[:16], len(sound) + 1),
        (sound[:9], 9),
        (b"", 0),
    ):
        with pytest.raises(DamagedChunkError):
            check_blosc(header, length)


def _attributes(store: Path, version: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((store / ("zarr.json" if version == "0.5" else ".zattrs")).read_text())
    return found


def _rewrite(store: Path, version: str, change: Any) -> None:
    content = _attributes(store, version)
    change(content["attributes"]["ome"] if version == "0.5" else content)
    (store / ("zarr.json" if version == "0.5" else ".zattrs")).write_text(json.dumps(content))


def _first(ome: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = ome["multiscales"][0]
    return found


HOSTILE = [
    ("a path with ..", lambda o: _first(o)["datasets"][0].update(path="../../secret"), "inside the store"),
    ("an absolute path", lambda o: _first(o)["datasets"][0].update(path="/etc"), "inside the store"),
    ("a backslash", lambda o: _first(o)["datasets"][0].update(path="a\\b"), "inside the store"),
    ("a number as path", lambda o: _first(o)["datasets"][0].update(path=7), "name of an array"),
    ("no path", lambda o: _first(o)["datasets"][0].pop("path"), "name of an array"),
    ("an absent array", lambda o: _first(o)["datasets"][0].update(path="nine"), "not there"),
    ("no datasets", lambda o: _first(o).pop("datasets"), "expected a list"),
    ("datasets of text", lambda o: _first(o).update(datasets=["0"]), "expected objects"),
    ("a thousand datasets", lambda o: _first(o).update(datasets=[{"path": "0"}] * 1000), "1 to 64"),
    ("one array twice", lambda o: _first(o).update(datasets=[{"path": "0"}] * 2), "twice"),
    ("no axes", lambda o: _first(o).pop("axes"), "expected x and y"),
    ("an axis twice", lambda o: _first(o)["axes"][0].update(name="x"), "each once"),
    ("an unknown axis", lambda o: _first(o)["axes"][0].update(name="q"), "expected x and y"),
    ("another number of axes", lambda o: _first(o)["axes"].pop(0), "axes"),
    ("multiscales of text", lambda o: o.update(multiscales="image"), "expected OME-Zarr"),
    ("no multiscales", lambda o: o.pop("multiscales"), "expected OME-Zarr"),
    ("a label image", lambda o: o.update({"image-label": {}}), "label image"),
    ("a plate", lambda o: o.update(plate={}), "well plate"),
    (
        "fluorescence channels",
        lambda o: o.update(omero={"channels": [{"color": c} for c in ("0000FF", "00FF00", "FF0000")]}),
        "fluorescence",
    ),
]


@pytest.mark.parametrize(("change", "said"), [row[1:] for row in HOSTILE], ids=[row[0] for row in HOSTILE])
@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_hostile_metadata(tmp_path: Path, version: str, change: Any, said: str) -> None:
    store = write_ome_zarr(tmp_path / "a.zarr", [picture(64, 48)], version=version, axes="cyx")
    _rewrite(store, version, change)
    with pytest.raises(SlideRefusedError, match=said) as refused:
        open_slide(store)
    assert "\n" not in str(refused.value)


def test_absurd_arrays(tmp_path: Path) -> None:
    for name, changes, said in (
        ("side", {"shape": [3, 2**40, 64]}, "expected sides"),
        (
            "chunk",
            {
                "shape": [3, 2**20, 2**20],
                "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 2**20, 2**20]}},
            },
            "MiB each",
        ),
        ("type", {"data_type": "uint16"}, "uint16"),
        ("channels", {"shape": [2, 48, 64]}, "2 channels"),
    ):
        store = write_ome_zarr(tmp_path / f"{name}.zarr", [picture(64, 48)], axes="cyx")
        file = store / "0" / "zarr.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
        with pytest.raises(SlideRefusedError, match=said):
            open_slide(store)


def test_a_store_never_runs_code(tmp_path: Path) -> None:
    """numcodecs knows a codec `pickle`; a chunk packed with it would run what it likes."""
    for key in ("compressor", "filters"):
        store = write_ome_zarr(tmp_path / f"{key}.zarr", [picture(64, 48)], version="0.4", axes="cyx")
        file = store / "0" / ".zarray"
        codec: Any = {"id": "pickle", "protocol": 5}
        file.write_text(
            json.dumps({**json.loads(file.read_text()), key: codec if key == "compressor" else [codec]})
        )
        with pytest.raises(SlideRefusedError, match=r"packed with pickle|cannot be opened"):
            open_slide(store)


def test_levels_must_shrink(tmp_path: Path) -> None:
    store = write_ome_zarr(tmp_path / "a.zarr", halves(picture(*SIZE), 2)[::-1], axes="cyx")
    with pytest.raises(SlideRefusedError, match="expected each smaller"):
        open_slide(store)


@pytest.mark.parametrize(
    ("unit", "mpp", "expected"),
    [
        ("nanometer", 250.0, 0.25),
        ("micrometer", 0.25, 0.25),
        ("millimeter", 0.00025, 0.25),
        (None, 0.25, None),
        ("parsec", 1.0, None),
    ],
)
def test_units(tmp_path: Path, unit: str | None, mpp: float, expected: float | None) -> None:
    store = write_ome_zarr(tmp_path / "a.zarr", [picture(64, 48)], unit=unit, mpp=mpp)
    with open_slide(store) as slide:
        if expected is None:
            assert slide.mpp is None
            assert "the pixel size is unknown" in slide.warnings[0]
        else:
            assert slide.mpp == pytest.approx((expected, expected))
            assert slide.warnings == ()


def test_our_own_results_are_no_slides(tmp_path: Path) -> None:
    store = write_ome_zarr(tmp_path / "a.wsiseg.ome.zarr", [picture(64, 48)])
    zarr.open_group(store, mode="r+").attrs["wsiseg"] = {"version": "1"}
    with pytest.raises(SlideRefusedError, match=r"a result of wsiseg.*give the slide"):
        open_slide(store)


def test_more_planes_than_one(tmp_path: Path) -> None:
    store = write_ome_zarr(tmp_path / "a.zarr", [picture(64, 48)])
    group = zarr.open_group(store, mode="r+")
    data = np.concatenate([group["0"][:], np.zeros_like(group["0"][:])], axis=2)
    del group["0"]
    group.create_array("0", data=data, chunks=(1, 1, 1, 64, 64))
    with open_slide(store) as slide:
        assert slide.warnings == ("axis z has 2 planes: only the first is read",)
        np.testing.assert_array_equal(slide.read_region(0, slide.levels[0].region), picture(64, 48))


class _Handler(http.server.SimpleHTTPRequestHandler):
    failures_left = 0
    redirect_to = ""

    def do_GET(self) -> None:
        if self.redirect_to:
            self.send_response(302)
            self.send_header("Location", self.redirect_to)
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif "/c/" in self.path and type(self).failures_left > 0:
            type(self).failures_left -= 1
            self.send_error(503)
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        if self.redirect_to:
            self.do_GET()
        else:
            super().do_HEAD()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, type[_Handler]]]:
    """Base URL of a folder, the folder, and the handler."""

    class Handler(_Handler):
        pass

    folder = tmp_path / "served"
    folder.mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", folder, Handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_by_http(served: tuple[str, Path, type[_Handler]]) -> None:
    pytest.importorskip("aiohttp")
    base, folder, handler = served
    store = write_ome_zarr(folder / "a slide.ome.zarr", halves(picture(*SIZE), 2), axes="cyx")
    (store / "0" / "c" / "1" / "0" / "0").unlink()
    url = f"{base}/a%20slide.ome.zarr"
    assert slide_id(url) == "a slide"
    with open_slide(url) as slide:
        assert (slide.backend, slide.source, len(slide.levels)) == ("ome-zarr", url, 2)
        handler.failures_left = 1  # a hiccup of the network is no damage
        np.testing.assert_array_equal(
            slide.read_region(0, Region(140, 130, 200, 100)), picture(*SIZE)[130:230, 140:340]
        )
        assert handler.failures_left == 0
        unread = slide.read_region_masked(0, slide.levels[0].region)[1]
        assert unread.sum() == 128 * 128
        assert unread[:128, :128].all()
        with slide.reopen() as again:
            assert again.levels == slide.levels
    with pytest.raises(SlideRefusedError, match="nothing"):
        open_slide(f"{base}/nothing.ome.zarr")


def test_http_is_not_led_to_files(served: tuple[str, Path, type[_Handler]], tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    base, _, handler = served
    secret = write_ome_zarr(tmp_path / "secret.zarr", [picture(64, 48)])
    handler.redirect_to = f"file://{secret}/zarr.json"
    with pytest.raises(SlideRefusedError):
        open_slide(f"{base}/a.ome.zarr")


def test_by_memory_url() -> None:
    memory = fsspec.filesystem("memory")
    url = "memory://tests/a.ome.zarr"
    write_ome_zarr(url, [picture(64, 48)])  # type: ignore[arg-type]
    try:
        with open_slide(url) as slide:
            assert (slide.name, slide.source) == ("a.ome.zarr", url)
            np.testing.assert_array_equal(slide.read_region(0, slide.levels[0].region), picture(64, 48))
    finally:
        memory.rm("/tests", recursive=True)


def test_an_unknown_scheme() -> None:
    with pytest.raises(SlideRefusedError, match="gopherx://a/b"):
        open_slide("gopherx://a/b")


def test_a_copy_without_level_one(tmp_path: Path) -> None:
    store = write_ome_zarr(tmp_path / "a.zarr", halves(picture(*SIZE), 2), axes="cyx")
    shutil.rmtree(store / "1")
    with pytest.raises(SlideRefusedError, match="array '1' that is not there"):
        open_slide(store)
