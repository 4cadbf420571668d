"""wsiseg evaluate as a user types it: the authors' weights on a drawn street, files out, exit codes."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import official_layouts as made
import pytest
import torch
from PIL import Image

from wsiseg.class_map import ClassMap, LabelClass
from wsiseg.datasets.voc_classes import VOC
from wsiseg.models import Architecture, ModelCard, build_model, save_model

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


def wsiseg(*arguments):
    command = [sys.executable, "-m", "wsiseg", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240)


def save_untrained(path, classes):
    """An untrained ERFNet of these classes, for photos."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = build_model("erfnet", num_classes=len(classes))
    save_model(
        path,
        network,
        ModelCard(
            name=path.stem,
            summary="Random weights.",
            architecture=Architecture(name="erfnet", num_classes=len(classes)),
            classes=classes.classes,
            domain="photo",
            mean=(128, 128, 128),
            std=(64, 64, 64),
            licence="Apache-2.0",
            source="tests",
            training_data="none",
        ),
    )
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Of the three classes of the generated folder, in another order."""
    classes = tuple(
        LabelClass(id=index, name=name, colour=(9, 9, 9))
        for index, name in enumerate(("Ink", "paper", "stain"))
    )
    return save_untrained(tmp_path_factory.mktemp("model") / "ink.safetensors", ClassMap(classes=classes))


@pytest.fixture
def folder_run(tmp_path, model):
    root = made.folder(tmp_path / "data")
    return [
        CONFIGS / "evaluate_folder.yaml",
        "--set",
        f"data.root={root}",
        "--set",
        f"model.checkpoint={model}",
    ]


def test_scores_as_json_and_files(folder_run, tmp_path):
    done = wsiseg("evaluate", *folder_run, "-o", tmp_path / "out", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert set(result["per_class"]) == {"paper", "ink", "stain"}
    counts = np.array(result["confusion"]["counts"])
    hit = counts.diagonal()
    iou = hit / (counts.sum(0) + counts.sum(1) - hit)
    assert list(result["per_class"].values()) == pytest.approx(iou)
    assert result["miou"] == pytest.approx(iou.mean())
    assert result["pixel_accuracy"] == pytest.approx(hit.sum() / counts.sum())
    assert result["category_miou"] is None
    assert str(tmp_path.parent) not in done.stdout
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text()) == result
    with Image.open(tmp_path / "out" / "worst_cases.png") as image:
        assert image.height > 3 * 300
    has_plots = importlib.util.find_spec("matplotlib") is not None
    assert (tmp_path / "out" / "confusion.png").is_file() is has_plots
    again = wsiseg("evaluate", *folder_run, "--set", "batch=3", "--json")
    assert json.loads(again.stdout)["confusion"] == result["confusion"]


def test_scores_as_a_table(folder_run, tmp_path):
    done = wsiseg("evaluate", *folder_run, "--set", "limit=2")
    assert done.returncode == 0, done.stderr
    assert "ink on image-folder all, 2 pictures" in done.stdout
    assert "mean IoU" in done.stdout
    assert "only the first 2 of 3 pictures" in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--set", "data.rot=x"], 2, "unknown key data.rot"),
        (["--set", "data.root=absent"], 3, "data.root is absent: no such folder"),
        (["--set", "model.checkpoint=absent.safetensors"], 3, "absent.safetensors"),
        (["--set", "model.checkpoint=tissue8-demo"], 3, "predicts 'background'"),
        (["--set", "submission=true"], 2, "give -o DIR"),
        (["--set", "submission=true", "-o", "OUT"], 2, "unknown server 'image-folder'"),
        (["-o", "DATA"], 2, "overlap"),
    ],
)
def test_refusals_are_one_line(folder_run, tmp_path, here, arguments, code, words):
    names = {"DATA": tmp_path / "data", "OUT": tmp_path / "out"}
    ended, said, errors = here("evaluate", *folder_run, *[names.get(item, item) for item in arguments])
    assert ended == code, errors
    assert words in errors
    assert errors.count("\n") == 1
    assert said == ""
    assert not (tmp_path / "out").exists()


def test_without_matplotlib_the_matrix_is_not_drawn(folder_run, tmp_path, here, monkeypatch):
    monkeypatch.setattr("wsiseg.evaluation.figures.can_plot", lambda: False)
    code, _, errors = here("evaluate", *folder_run, "-o", tmp_path / "out")
    assert code == 0
    assert "pip install 'wsiseg[plots]'" in errors
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "evaluation.json",
        "worst_cases.png",
    ]


def test_a_split_without_truth_is_written_for_the_server(tmp_path, here):
    model = save_untrained(tmp_path / "voc.safetensors", VOC)
    root = made.voc(tmp_path / "VOCdevkit", "test")
    given = [CONFIGS / "evaluate_voc.yaml", "--set", f"data.root={root}", "--set", "data.split=test"]
    given += ["--set", f"model.checkpoint={model}"]
    code, _, errors = here("evaluate", *given)
    assert code == 3
    assert "labels are not published" in errors
    code, said, errors = here("evaluate", *given, "--set", "submission=true", "-o", tmp_path / "out")
    assert code == 0, errors
    assert "nothing scored" in said
    folder = tmp_path / "out" / "submission" / "results" / "VOC2012" / "Segmentation" / "comp6_test_cls"
    assert [path.stem for path in sorted(folder.iterdir())] == list(made.VOC_NAMES)
    for path, shape in zip(sorted(folder.iterdir()), made.VOC_SHAPES, strict=True):
        with Image.open(path) as image:
            assert image.mode == "P"
            labels = np.asarray(image)
        assert labels.shape == shape
        assert labels.max() <= 20
    assert not (tmp_path / "out" / "confusion.png").exists()
    result = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert (result["miou"], result["compared_px"], result["pictures"]) == (None, 0, 3)


@pytest.fixture(scope="module", params=["decoder", "encoder"])
def street_run(shared_data, tmp_path_factory, request):
    """The authors' weights, imported and evaluated on drawn streets of Cityscapes' size, by the command."""
    at = tmp_path_factory.mktemp("streets")
    model = at / "espnet-cityscapes.safetensors"
    file = shared_data / "espnet_release" / f"{request.param}_espnet_p_2_q_8.pth"
    done = wsiseg("models", "import", file, "-o", model)
    assert done.returncode == 0, done.stderr
    root = made.streets(at / "cityscapes")
    done = wsiseg(
        "evaluate",
        CONFIGS / "evaluate_cityscapes.yaml",
        *("--set", f"data.root={root}", "--set", f"model.checkpoint={model}", "--set", "submission=true"),
        *("-o", at / "out", "--json"),
    )
    assert done.returncode == 0, done.stderr
    return at, request.param, json.loads(done.stdout)


@pytest.mark.shared
def test_the_authors_weights_know_a_street(street_run):
    _, kind, result = street_run
    assert result["per_class"]["road"] > 0.9
    assert result["per_category"]["flat"] > 0.9
    if kind == "encoder":  # the decoder takes part of the drawn sky, which is too even, for houses
        assert result["per_class"]["sky"] > 0.7
    assert "void" not in result["per_class"]
    assert result["compared_px"] == int((made.street_truth() > 0).sum())
    assert any("1 pictures, officially 500" in text for text in result["warnings"])


@pytest.mark.shared
def test_the_submission_scores_officially_what_the_json_says(street_run):
    module = pytest.importorskip(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling", reason="needs cityscapesScripts"
    )
    at, _, result = street_run
    module.args.evalInstLevelScore, module.args.JSONOutput, module.args.quiet = False, False, True
    module.args.predictionPath, module.args.predictionWalk = str(at / "out" / "submission"), None
    truths = sorted(str(path) for path in (at / "cityscapes").glob("gtFine/val/*/*_labelIds.png"))
    predictions = [module.getPrediction(module.args, truth) for truth in truths]
    official = module.evaluateImgLists(predictions, truths, module.args)
    assert official["averageScoreClasses"] == pytest.approx(result["miou"], abs=1e-12)
    assert official["averageScoreCategories"] == pytest.approx(result["category_miou"], abs=1e-12)
    for name, iou in result["per_class"].items():
        assert iou is None or official["classScores"][name] == pytest.approx(iou, abs=1e-12)
