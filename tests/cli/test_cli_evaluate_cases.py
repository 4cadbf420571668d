"""wsiseg evaluate and calibrate on slides with annotations and on regions in PNGs, as a user types them."""

import json
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from wsiseg.class_map import TISSUE8
from wsiseg.evaluation.confusion import Confusion
from wsiseg.models import read_card
from wsiseg.phantom.generate import generate_phantom
from wsiseg.phantom.slide_file import write_phantom_slide

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
BOXES = {"normal stroma": (60, 40, 400, 300), "Tumour": (300, 200, 200, 260), "artefact": (0, 0, 100, 90)}
IDS = {"normal stroma": 3, "Tumour": 2, "artefact": 255}


def class_map(extra):
    rows = []
    for item in TISSUE8.classes:
        row = json.loads(item.model_dump_json(include={"id", "name", "colour", "background"}))
        rows.append(f"  - {json.dumps(row | extra.get(item.name, {}))}")
    return "ignored_names: [artefact]\nclasses:\n" + "\n".join(rows) + "\n"


def geojson(boxes):
    features = []
    for name, (x, y, width, height) in boxes.items():
        ring = [[x, y], [x + width, y], [x + width, y + height], [x, y + height], [x, y]]
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"objectType": "annotation", "classification": {"name": name}},
            }
        )
    return json.dumps({"type": "FeatureCollection", "features": features})


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Four slides of three patients, in a folder with its list and class map."""
    root = tmp_path_factory.mktemp("slides")
    rows = ["slide,annotation,patient,slide_mpp,split"]
    for seed, patient in enumerate(("a", "b", "c", "a")):
        path = root / f"s{seed}.tiff"
        write_phantom_slide(path, seed=seed, width_px=640, height_px=560, mpp=0.5)
        (root / f"s{seed}.geojson").write_text(geojson(BOXES))
        rows.append(f"s{seed}.tiff,s{seed}.geojson,{patient},{'0.5' if seed else ''},{'xy'[seed == 1]}")
    (root / "slides.csv").write_text("\n".join(rows) + "\n")
    (root / "classes.yaml").write_text(class_map({"malignant epithelium": {"annotation_names": ["tumour"]}}))
    return root


def truth(shape):
    """The boxes at half the resolution, the later over the earlier."""
    labels = np.full(shape, 255, np.uint8)
    for name, (x, y, width, height) in BOXES.items():
        labels[y // 2 : (y + height) // 2, x // 2 : (x + width) // 2] = IDS[name]
    return labels


def test_slides_are_scored_inside_of_what_is_annotated(slides, tmp_path, here):
    given = ["evaluate", CONFIGS / "evaluate_slides.yaml", "--set", f"data.root={slides}"]
    torch = ["--set", "runtime=torch", "--set", "precision=fp32"]
    code, said, errors = here(*given, *torch, "-o", tmp_path / "out", "--json")
    assert code == 0, errors
    result = json.loads(said)
    torch = ["--runtime", "torch", "--precision", "fp32"]
    code, _, errors = here("predict", *sorted(slides.glob("*.tiff")), *torch, "-o", tmp_path / "results")
    assert code == 0, errors
    confusion = Confusion(TISSUE8.ids)
    for seed in range(4):
        store = zarr.open_group(str(tmp_path / "results" / f"s{seed}.wsiseg.ome.zarr"), mode="r")
        labels = store["labels/tissue/0"][:]
        confusion.add(truth(labels.shape), labels)
    scores = confusion.scores()
    assert result["confusion"]["counts"] == confusion.counts[:, :-1].tolist()
    assert result["miou"] == scores.mean_iou
    assert list(result["per_class"].values()) == list(scores.iou)
    assert list(result["per_class_f1"].values()) == list(scores.f1)
    assert result["frequency_weighted_iou"] == scores.frequency_weighted_iou
    assert [case["group"] for case in result["per_case"]] == ["a", "b", "c", "a"]
    assert result["intervals"]["groups"] == 3
    low, high = result["intervals"]["pixel_accuracy"]
    assert low <= result["pixel_accuracy"] <= high
    assert (result["unread_px"], result["not_analysed_px"]) == (0, 0)
    assert str(slides) not in said
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == result
    assert (tmp_path / "out" / "worst_cases.png").is_file()

    code, said, errors = here(*given, "--set", f"predictions={tmp_path / 'results'}", "--json")
    assert code == 0, errors
    stored = json.loads(said)
    assert stored["runtime"] is None
    assert stored["confusion"] == result["confusion"]

    code, said, errors = here(*given, "--set", "data.split=x", "--set", "limit=2")
    assert code == 0, errors
    assert "on slides x, 2 cases" in said
    assert "only the first 2 of 3 cases" in errors
    assert "too few for confidence intervals" in errors


def test_slides_are_calibrated(slides, tmp_path, here):
    config = tmp_path / "calibrate.yaml"
    data = f"{{dataset: slides, root: {slides}, split: %s}}"
    config.write_text(f"fit: {data % 'x'}\ntest: {data % 'y'}\nmodel: {{checkpoint: tissue8-demo}}\n")
    code, said, errors = here("calibrate", config, "-o", tmp_path / "out", "--json")
    assert code == 0, errors
    result = json.loads(said)
    shape = (280, 320)
    assert result["test"]["labelled_px"] == (truth(shape) != 255).sum()
    assert result["fit"]["labelled_px"] == 3 * (truth(shape) != 255).sum()
    assert read_card(tmp_path / "out" / "tissue8-demo.safetensors").temperature == result["temperature"]
    code, _, errors = here("calibrate", config, "--set", "test.split=null", "-o", tmp_path / "other")
    assert code == 3
    assert "fit and test share" in errors


def test_patients_on_both_sides_are_refused(slides, tmp_path, here):
    text = (slides / "slides.csv").read_text().replace("s1.geojson,b", "s1.geojson,c")
    (slides / "mixed.csv").write_text(text)
    config = tmp_path / "calibrate.yaml"
    data = f"{{dataset: slides, root: {slides}, list: mixed.csv, split: %s}}"
    config.write_text(f"fit: {data % 'x'}\ntest: {data % 'y'}\nmodel: {{checkpoint: tissue8-demo}}\n")
    code, _, errors = here("calibrate", config, "-o", tmp_path / "out")
    assert code == 3
    assert "first patient c" in errors


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (
            ("slides.csv", "slide,annotation,patient", "slide,label,patient"),
            3,
            "has the columns slide, label",
        ),
        (("slides.csv", "s2.tiff", "absent.tiff"), 3, "absent.tiff: missing (1 of 4 slides)"),
        (("slides.csv", "s2.geojson", "absent.geojson"), 3, "absent.geojson: missing (1 of 4 annotations)"),
        (("slides.csv", "s2.tiff", "s1.tiff"), 3, "'s1' stands there more than once"),
        (("slides.csv", "0.5,", "500,"), 3, "row 2: --slide-mpp 500"),
        (("classes.yaml", '["tumour"]', '["tumor"]'), 3, "unknown annotation classes: 'Tumour' (1)"),
        (("s0.geojson", "[60, 40]", "[60]"), 3, "s0.geojson"),
    ],
)
def test_lists_that_do_not_fit_are_refused(slides, tmp_path, here, change, code, words):
    for path in slides.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    name, old, new = change
    text = (tmp_path / name).read_text()
    assert old in text
    (tmp_path / name).write_text(text.replace(old, new))
    ended, said, errors = here("evaluate", CONFIGS / "evaluate_slides.yaml", "--set", f"data.root={tmp_path}")
    assert ended == code, errors
    assert words in errors.splitlines()[-1]
    assert said == ""


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    """Three regions of two patients in three-channel PNGs, with a list as the breast data have it."""
    root = tmp_path_factory.mktemp("regions")
    lines = []
    for seed, name in enumerate(("7_a", "7_b", "8_a")):
        made = generate_phantom(seed, 331, 274, 1.0)
        Image.fromarray(made.rgb).save(root / f"{name}.png")
        Image.fromarray(np.repeat(made.labels[..., None], 3, axis=2)).save(root / f"{name}_label.png")
        lines.append(f"{name}.png, {name}_label.png, {seed % 4}")
    (root / "val.txt").write_text("\n".join(lines) + "\n")
    return root


def breast(regions, *more):
    settings = [f"data.root={regions}", "model.checkpoint=tissue8-demo", *more]
    flags = [part for setting in settings for part in ("--set", setting)]
    return ["evaluate", CONFIGS / "evaluate_breast.yaml", *flags]


@pytest.mark.parametrize("scale", [1, 1.33])
def test_regions_are_scored_at_full_size(regions, tmp_path, here, scale):
    given = breast(regions, f"data.scale={scale}", "data.patient_until=_")
    code, said, errors = here(*given, "-o", tmp_path / "out", "--json")
    assert code == 0, errors
    result = json.loads(said)
    assert result["compared_px"] == 3 * 331 * 274
    assert [case["group"] for case in result["per_case"]] == ["7", "7", "8"]
    assert result["intervals"] is None
    assert any(text.startswith("2 groups") and "too few" in text for text in result["warnings"])
    assert any("no physical size" in text for text in result["warnings"])
    assert result["pixel_accuracy"] > 0.5
    assert (tmp_path / "out" / "worst_cases.png").is_file()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ("7_a.png\n", "line 1: '7_a.png': expected rgb.png, label.png[, diagnosis]"),
        ("7_a.png, absent.png\n", "absent.png: missing (1 of 1 label images)"),
        ("\n", "holds no rgb.png, label.png"),
        ("7_a.png, 7_a.png\n", "is a colour picture"),
        ("7_a.png, 7_a_label.png\n7_a.png, 7_a_label.png\n", "'7_a' stands there more than once"),
    ],
)
def test_region_lists_that_do_not_fit_are_refused(regions, here, lines, words):
    (regions / "other.txt").write_text(lines)
    code, _, errors = here(*breast(regions, "data.list=other.txt"))
    assert code == 3
    assert words in errors
    assert errors.count("\n") == 1


def test_predictions_are_of_slides_alone(regions, here):
    for setting in ("predictions=results", "submission=true"):
        code, _, errors = here(*breast(regions, setting))
        assert code == 2
        assert "leave it out" in errors or "give -o DIR" in errors
