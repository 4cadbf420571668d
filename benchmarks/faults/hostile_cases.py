"""The hostile inputs that are tried, with the exit code and the words that each has to get."""

from __future__ import annotations

import shutil

import hostile_input as make
from hostile_input import Case

CASES = (
    Case("model: a pickle named .safetensors", make.predict_model(make.bomb), 3),
    Case(
        "model: pickle bomb to import",
        lambda folder, out: [
            "models",
            "import",
            str(make.bomb(folder / "bomb.pth")),
            "-o",
            str(out / "m.safetensors"),
        ],
        3,
    ),
    Case("model: cut in half", make.predict_model(lambda path: make.model(path, make.truncated)), 3),
    Case("model: wrong shape", make.predict_model(lambda path: make.model(path, make.reshaped)), 3),
    Case(
        "model: one byte of the weights flipped",
        make.predict_model(lambda path: make.model(path, make.flipped)),
        3,
        "SHA-256",
    ),
    Case(
        "model: offsets beyond the file",
        make.predict_model(lambda path: make.model(path, make.overlapping)),
        3,
    ),
    Case("card: an mpp of 1e9", make.predict_model(lambda path: make.card(path, mpp=1e9)), 3),
    Case("card: classes named as none", make.predict_model(lambda path: make.card(path, classes=[])), 3),
    Case("card: unknown key", make.predict_model(lambda path: make.card(path, run="rm -rf")), 3, "run"),
    Case(
        "card: another network",
        make.predict_model(lambda path: make.card(path, architecture={"name": "unet", "num_classes": 8})),
        3,
    ),
    Case("card: NaN as mean", make.predict_model(lambda path: make.card(path, mean=[float("nan")] * 3)), 3),
    Case(
        "config: unknown key",
        make.evaluate("data: {dataset: cityscapes, root: x, rot: y}\nmodel: {checkpoint: x}\n"),
        2,
        "rot",
    ),
    Case("config: aliases that blow up", make.evaluate(make.many_aliases()), 2, "alias"),
    Case(
        "config: a Python object",
        make.evaluate("data: !!python/object/apply:os.system ['touch exploded']\n"),
        2,
    ),
    Case("config: nested 100,000 deep", make.evaluate("[" * 100_000), 2),
    Case("config: 5 MB", make.evaluate("# " + "x" * 5_000_000), 2),
    Case(
        "annotation: not a number",
        make.import_(lambda path: make.geojson(path, "[[[NaN,0],[9,9],[9,0],[NaN,0]]]"), "a.geojson"),
        3,
    ),
    Case(
        "annotation: 1e308",
        make.import_(
            lambda path: make.geojson(path, "[[[1e308,0],[9,9],[9,-1e308],[1e308,0]]]"), "a.geojson"
        ),
        3,
    ),
    Case(
        "annotation: crosses itself (drawn as it stands)",
        make.import_(
            lambda path: make.geojson(path, "[[[0,0],[900,900],[900,0],[0,900],[0,0]]]"), "a.geojson"
        ),
        0,
    ),
    Case(
        "annotation: three million points (drawn)",
        make.import_(lambda path: make.geojson(path, make.huge_ring()), "a.geojson"),
        0,
    ),
    Case(
        "annotation: unknown class",
        make.import_(lambda path: make.geojson(path, "[[[0,0],[9,9],[9,0],[0,0]]]", "<script>"), "a.geojson"),
        3,
    ),
    Case(
        "annotation: nested 100,000 deep",
        make.import_(lambda path: make.written(path, "[" * 100_000), "a.geojson"),
        3,
    ),
    Case(
        "annotation: XML entities that blow up",
        make.import_(lambda path: make.written(path, make.entities("laughs")), "a.xml"),
        3,
    ),
    Case(
        "annotation: XML that names /etc/passwd",
        make.import_(lambda path: make.written(path, make.entities("file")), "a.xml"),
        3,
    ),
    Case(
        "annotation: room for a billion points, 16 GB", make.import_(make.endless, "a.geojson"), 3, "300 MB"
    ),
    Case("manifest: ten million rows", make.batch(make.many_rows), 2, "more than 100,000 slides"),
    Case(
        "manifest: a name that leads out of the output",
        make.batch(lambda path: make.one_row(path, "../../out2")),
        2,
    ),
    Case(
        "manifest: formulas as name and note (kept as text)",
        make.batch(lambda path: make.one_row(path, "=1+1")),
        0,
        wrong=make.formulas,
    ),
    Case(
        "mask: a picture that claims 3.6 gigapixels",
        lambda folder, out: [
            "predict",
            make.slide(folder),
            "-o",
            str(out),
            "--tissue",
            str(make.png_bomb(folder / "m.png")),
        ],
        3,
    ),
    Case(
        "slide: a picture that claims 3.6 gigapixels",
        lambda folder, out: [
            "predict",
            str(make.png_bomb(folder / "m.png")),
            "-o",
            str(out),
            "--slide-mpp",
            "1",
        ],
        3,
    ),
    Case(
        "URL: redirects to a file of this machine", lambda folder, out: ["info", "{server}/redirect.zarr"], 3
    ),
    Case("URL: a file that is not there", lambda folder, out: ["info", "{server}/missing.zarr"], 3),
    Case(
        "name: markup in a slide's name",
        lambda folder, out: [
            "predict",
            str(shutil.copy(make.slide(folder), folder / "<script>alert(1)<%2Fscript>.tif")),
            "-o",
            str(out),
        ],
        0,
    ),
    Case(
        "name: leads out of the folder (named by its last part)",
        lambda folder, out: ["predict", str(folder / ".." / ".." / "slide.tif"), "-o", str(out)],
        0,
    ),
)
