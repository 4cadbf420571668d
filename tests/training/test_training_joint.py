"""Y-Net from lists of regions to a told diagnosis: trained in two stages, scored, predicted, reported."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from train_child import Silent

from wsiseg.cli.main import main
from wsiseg.cohort.report.page import write_page
from wsiseg.config import load_config
from wsiseg.datasets import slide_regions
from wsiseg.datasets.phantom_regions import write_phantom_regions
from wsiseg.errors import InputRefusedError, UsageError
from wsiseg.models import load_model, read_card
from wsiseg.phantom.diagnosis import DIAGNOSES
from wsiseg.phantom.slide_file import write_phantom_slide
from wsiseg.training.config import TrainConfig
from wsiseg.training.joint import JointStepper
from wsiseg.training.processes import Processes
from wsiseg.training.run import _stages, train
from wsiseg.training.source import open_source
from wsiseg.training.start import start
from wsiseg.training.step import make_optimiser

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(scope="module", autouse=True)
def _quick():
    """Validation windows no larger than the regions here, and threads as they were."""
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slide_regions, "WINDOW_PX", 128)
        patch.setattr(slide_regions, "MARGIN_PX", 0)
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def regions(tmp_path_factory):
    root = tmp_path_factory.mktemp("regions")
    for seed, (name, count) in enumerate((("train", 4), ("val", 4))):
        write_phantom_regions(root, name, first_seed=100 * seed, count=count, side_px=128, mpp=2.0)
    return root


def small(root, *more):
    settings = [
        *(f"data.train.root={root}", f"data.validation.root={root}"),
        *("data.patch_px=64", "data.patches_per_epoch=8", "whole.epochs=2", "joint.segmentation.epochs=1"),
        *(
            "batch=4",
            "workers=0",
            "device=cpu",
            "threads=1",
            "samples=1",
            "tensorboard=false",
            "validate_every=1",
        ),
    ]
    return load_config(CONFIGS / "train_ynet_phantoms.yaml", [*settings, *more], TrainConfig)


@pytest.fixture(scope="module")
def run(regions, tmp_path_factory):
    """A finished run of both stages."""
    folder = tmp_path_factory.mktemp("joint") / "run"
    train(small(regions), folder, Silent())
    return folder


def test_both_stages_are_trained_and_scored(run):
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [(row["stage"], row["epoch"]) for row in rows] == [("segmentation", 0), ("whole", 0), ("whole", 1)]
    assert rows[0]["diagnosis_accuracy"] is None
    assert all(row["diagnosis_accuracy"] in (0, 0.25, 0.5, 0.75, 1) for row in rows[1:])
    card = read_card(run / "best.safetensors")
    assert card.diagnosis.names == DIAGNOSES
    assert card.diagnosis.window_px == 64
    assert card.diagnosis.demo  # the lists say that they are phantoms
    assert "phantoms" in card.training_data
    told = card.scores["validation"]["diagnosis"]
    assert told["cases"] == 4
    assert set(told["sensitivity"]) == set(told["specificity"]) == set(DIAGNOSES)
    first = read_card(run / "segmentation.safetensors")
    assert first.architecture.name == "ynet"
    assert first.diagnosis is None


def test_a_run_goes_on_where_it_stopped(run, regions, tmp_path):
    """Between the stages, and inside of the second: the last weights are those of one go."""

    class Stops(Silent):
        def __init__(self, at):
            super().__init__()
            self.at = at

        def step(self, report):
            if (report.stage, report.epoch, report.step) == self.at:
                raise KeyboardInterrupt

    for at in (("whole", 0, 0), ("whole", 1, 1)):
        with pytest.raises(KeyboardInterrupt):
            train(small(regions), tmp_path / "run", Stops(at))
    train(small(regions), tmp_path / "run", Silent())
    assert (tmp_path / "run" / "last.safetensors").read_bytes() == (run / "last.safetensors").read_bytes()


def test_each_loss_moves_its_own_arm(regions, tmp_path):
    """The first stage leaves the diagnosis arm alone; in the second its loss has the weight of the config."""
    torch.set_num_threads(1)
    config = small(regions, "joint.weight=3.0")
    source = open_source(config, tmp_path)
    begun = start(config, source)
    alone, both = _stages(config, begun, source)
    batch = [torch.stack(part) for part in zip(*(source.patches[at] for at in range(4)), strict=True)]
    assert batch[2].dtype == torch.int64
    losses = {}
    for stage in (alone, both):
        stepper = JointStepper(
            stage, config, Processes(0, 1, torch.device("cpu")), make_optimiser(stage, 0.0)
        )
        stage.network.train()
        losses[stage.name] = stepper.step([batch], 0.0)
        moved = {name for name, p in begun.network.named_parameters() if p.grad is not None}
        arm = {name for name, _ in begun.network.named_parameters() if not name.startswith("segmentation.")}
        assert arm.isdisjoint(moved) if stage is alone else arm <= moved
    # Nothing was learnt (a rate of 0), so the second step's pixels cost what the first step's did.
    with torch.no_grad():
        image = stepper._normalise(batch[0].permute(0, 2, 3, 1))
        told = torch.nn.functional.cross_entropy(begun.network.both(image)[1], batch[2])
    assert losses["whole"] == pytest.approx(losses["segmentation"] + 3 * float(told), rel=1e-4)


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("rgb/train0.png, labels/train0.png", "its diagnosis in the list is '': expected 1 to 4"),
        ("rgb/train0.png, labels/train0.png, 5", "'5': expected 1 to 4"),
        ("rgb/train0.png, labels/train0.png, 0", "'0': expected 1 to 4"),
        ("rgb/train0.png, labels/train0.png, benign", "'benign': expected 1 to 4"),
    ],
)
def test_a_list_without_a_diagnosis_is_refused(regions, tmp_path, line, what):
    (regions / "odd.txt").write_text(line + "\n", encoding="utf-8")
    with pytest.raises(InputRefusedError, match=what):
        train(small(regions, "data.train.list=odd.txt"), tmp_path / "run", Silent())


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("model.network=ynet", "belong together"),
        ("joint=null", "belong together"),
        ("model.options.idle_branches=true", "no weights that nothing uses"),
        ("model.options.diagnoses=5", "as many outputs as joint.diagnoses"),
        ("init.checkpoint=tissue8-demo", "leave init out"),
        ("encoder.epochs=1", "has no encoder stage"),
        ("joint.diagnoses=[one]", "at least 2"),
    ],
)
def test_what_does_not_fit_is_refused(regions, change, what):
    with pytest.raises(UsageError, match=what):
        small(regions, change)


@pytest.fixture
def here(monkeypatch, capsys):
    """Run the command line in this process: (exit code, stdout, stderr)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["wsiseg", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return ended.value.code, said.out, said.err

    return call


def test_evaluate_scores_both_arms(run, regions, here, tmp_path):
    config = CONFIGS / "evaluate_breast.yaml"
    settings = [
        f"data.root={regions}",
        f"model.checkpoint={run / 'best.safetensors'}",
        "device=cpu",
        "bootstrap.resamples=100",
    ]
    changes = [word for setting in settings for word in ("--set", setting)]
    code, said, _ = here("evaluate", config, *changes, "-o", tmp_path)
    assert code == 0
    assert "diagnosis_demo: 4 regions, accuracy" in said
    assert "says nothing about a patient" in " ".join(said.split())
    found = json.loads((tmp_path / "evaluation.json").read_text())
    assert "diagnosis" not in found
    told = found["diagnosis_demo"]
    assert 0 <= found["miou"] <= 1
    counts = np.array(told["confusion"])
    truth = [line.rpartition(" ")[2] for line in (regions / "val.txt").read_text().splitlines()[1:]]
    assert counts.sum(axis=1).tolist() == [truth.count(str(number)) for number in (1, 2, 3, 4)]
    assert told["accuracy"] == counts.trace() / 4
    card = read_card(run / "best.safetensors")
    assert told["accuracy"] == card.scores["validation"]["diagnosis"]["accuracy"]


def test_a_list_without_diagnoses_scores_the_segmentation_alone(run, regions, here):
    rows = (regions / "val.txt").read_text().splitlines()[1:]
    (regions / "plain.txt").write_text(rows[0].rpartition(",")[0] + "\n", encoding="utf-8")
    settings = ("data.list=plain.txt", f"data.root={regions}", f"model.checkpoint={run / 'best.safetensors'}")
    changes = [word for setting in (*settings, "bootstrap.resamples=100") for word in ("--set", setting)]
    code, said, _ = here("evaluate", CONFIGS / "evaluate_breast.yaml", *changes, "--json")
    assert code == 0
    assert not {"diagnosis", "diagnosis_demo"} & json.loads(said).keys()


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "slide.tiff"
    write_phantom_slide(path, seed=3, width_px=640, height_px=480, mpp=2.0)
    return path


def geojson(path, *boxes):
    features = [
        {
            "type": "Feature",
            "geometry": {
                "type": "Polygon",
                "coordinates": [[[x, y], [x + w, y], [x + w, y + h], [x, y + h], [x, y]]],
            },
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        }
        for name, x, y, w, h in boxes
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    return path


def predict(here, slide, run, out, *more):
    return here(
        "predict", slide, "-o", out, "--model", run / "best.safetensors", "--runtime", "torch",
        "--precision", "fp32", *more,
    )  # fmt: skip


def test_predict_tells_a_diagnosis_of_given_regions_only(run, slide, here, tmp_path):
    evil = "<b>one</b>"
    regions = geojson(tmp_path / "r.geojson", (evil, 200, 150, 200, 150), ("glass", 0, 0, 20, 20))
    code, *_ = predict(here, slide, run, tmp_path)
    summary = json.loads((tmp_path / "slide.summary.json").read_text())
    assert code == 0
    assert not {"diagnosis", "diagnosis_demo"} & summary.keys()

    code, said, _ = predict(here, slide, run, tmp_path, "--regions", regions)  # of the finished result
    summary = json.loads((tmp_path / "slide.summary.json").read_text())
    assert code == 0
    assert "diagnosis" not in summary
    told = summary["diagnosis_demo"]
    assert "says nothing about a patient" in told["note"]
    assert "Not for diagnostic use" in told["note"]
    first, glass = told["regions"]
    assert first["box_l0"] == [200, 150, 200, 150]
    assert set(first["probabilities"]) == set(DIAGNOSES)
    assert sum(first["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert first["most_probable"] == max(first["probabilities"], key=first["probabilities"].get)
    assert first["windows"] == 12  # 64 px of the slide's own 2 um: 4 x 3
    assert glass["probabilities"] is None
    assert glass["remarks"] == ["no window of it has tissue that could be read: nothing is told"]
    assert "diagnosis_demo of 1: <b>one</b>" in said

    (tmp_path / "page").mkdir()
    (tmp_path / "slide.wsiseg.ome.zarr").rename(tmp_path / "page" / "slide.wsiseg.ome.zarr")
    write_page(tmp_path / "page", summary)
    page = (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert "Diagnosis demo" in page
    assert "says nothing about a patient" in page
    assert "1: &lt;b&gt;one&lt;/b&gt;" in page
    assert evil not in page


def test_a_region_of_interest_is_a_region(run, slide, here, tmp_path):
    code, said, _ = predict(here, slide, run, tmp_path, "--roi", "200,150,100,100", "--json")
    assert code == 0
    (told,) = json.loads(said)["diagnosis_demo"]["regions"]
    assert told["name"] == "region of interest"
    assert told["box_l0"] == [200, 150, 100, 100]


def test_weights_of_real_regions_have_the_plain_name(run, slide, here, tmp_path):
    from wsiseg.models import save_model

    model = load_model(run / "best.safetensors")
    real = model.card.diagnosis.model_copy(update={"demo": False})
    card = model.card.model_copy(update={"diagnosis": real, "scores": {}})
    save_model(tmp_path / "real.safetensors", model.network, card)
    code, said, _ = here(
        "predict", slide, "-o", tmp_path, "--model", tmp_path / "real.safetensors", "--runtime", "torch",
        "--roi", "200,150,100,100", "--json",
    )  # fmt: skip
    assert code == 0
    summary = json.loads(said)
    assert "diagnosis_demo" not in summary
    assert "was not measured" in summary["diagnosis"]["note"]


def test_refusals_of_predict(run, slide, here, tmp_path):
    far = geojson(tmp_path / "far.geojson", ("far", 5000, 0, 100, 100))
    code, _, said = predict(here, slide, run, tmp_path, "--regions", far)
    assert code == 2
    assert "are these regions of this slide?" in said
    code, _, said = here("predict", slide, "-o", tmp_path, "--regions", far)
    assert code == 2
    assert "tells no diagnosis" in said
    code, _, said = here("predict", slide, tmp_path / "b.tiff", "-o", tmp_path, "--regions", far)
    assert code == 2
    assert "one at a time" in said
