"""wsiseg evaluate: scores of a model on labelled pictures."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wsiseg.cli.config_options import Changes
from wsiseg.errors import ModelRefusedError, UsageError

if TYPE_CHECKING:
    from wsiseg.class_map import ClassMap
    from wsiseg.config import EvaluateConfig
    from wsiseg.evaluation.confusion import Confusion
    from wsiseg.evaluation.over_dataset import Report
    from wsiseg.models import Model

EPILOG = (
    "Example: wsiseg evaluate configs/evaluate_cityscapes.yaml --set data.root=cityscapes "
    "--set model.checkpoint=espnet.safetensors -o results"
)
WRITTEN = ("evaluation.json", "confusion.png", "worst_cases.png", "submission")


def evaluate(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML of the evaluation, see configs/.")],
    set_: Changes = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="DIR", help="Folder for the scores and pictures as files."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Put the scores on stdout as JSON, and nothing else.")
    ] = False,
) -> None:
    """Score a model on labelled pictures, regions or slides: one global confusion matrix at full resolution.

    With -o it writes evaluation.json, confusion.png (needs matplotlib), worst_cases.png and, where the config
    asks for it, submission/. Exit codes: 0 done, 2 wrong config, 3 data or model refused.
    """
    from wsiseg.config import EvaluateConfig, load_config

    wanted = load_config(config, set_ or [], EvaluateConfig)
    if wanted.submission and output is None:
        raise UsageError("submission is true, but there is no folder for it: give -o DIR")
    if output is not None:
        _check_apart(output, wanted)
    from wsiseg.datasets.catalogue import CASES

    result = (_evaluate_cases if wanted.data.dataset in CASES else _evaluate)(wanted, output)
    sys.stderr.writelines(f"wsiseg: {warning}\n" for warning in result["warnings"])
    if as_json:
        sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
        return
    from wsiseg.evaluation.result import as_table

    typer.echo(as_table(result) if result["compared_px"] else "no truth to compare with: nothing scored")
    for key in {"diagnosis", "diagnosis_demo"} & result.keys():
        from wsiseg.evaluation.diagnosis_over_list import as_lines

        typer.echo(f"\n{as_lines(result[key], key)}")
    if output is not None:
        typer.echo(f"\nwritten to {output}")


def _evaluate(config: EvaluateConfig, output: Path | None) -> dict[str, Any]:
    from wsiseg.datasets.catalogue import open_dataset
    from wsiseg.evaluation.figures import draw_worst
    from wsiseg.evaluation.over_dataset import evaluate_pictures, first_pictures, need_truth
    from wsiseg.evaluation.result import describe
    from wsiseg.evaluation.submission import SubmissionWriter
    from wsiseg.evaluation.whole_picture import PicturePredictor, choose_device

    pictures = first_pictures(open_dataset(config.data.dataset, config.data), config.limit)
    if not config.submission:
        need_truth(pictures)
    model = _model(config)
    predict = PicturePredictor(model, choose_device(config.device))
    writer = None
    if config.submission and output is not None:
        writer = SubmissionWriter(output / "submission", pictures)
        writer.prepare()
    with _progress() as report:
        found = evaluate_pictures(
            predict,
            pictures,
            batch=config.batch,
            workers=config.workers,
            worst_cases=config.worst_cases if output is not None else 0,
            rename=config.model.rename,
            keep=None if writer is None else lambda sample, labels: writer.write(sample.name, labels),
            report=report,
        )
    result = describe(found, pictures, model.card, config)
    if output is not None:
        worst = draw_worst(found.worst, pictures) if found.worst else None
        _write(output, result, found.confusion, pictures.classes, worst)
    return result


def _evaluate_cases(config: EvaluateConfig, output: Path | None) -> dict[str, Any]:
    from wsiseg.config import RegionsData
    from wsiseg.evaluation.diagnosis_over_list import diagnosis_key, evaluate_diagnosis
    from wsiseg.evaluation.figures import draw_worst_windows
    from wsiseg.evaluation.result import describe_cases
    from wsiseg.scoring.case_evaluation import evaluate_cases

    model = _model(config)
    told = None
    if model.card.diagnosis is not None and isinstance(config.data, RegionsData):
        told = evaluate_diagnosis(config, config.data, model)
    with _progress() as report:
        found = evaluate_cases(config, model, report)
    scored = found.evaluation
    result = describe_cases(
        scored, found.classes, model.card, config, split=found.split, runtime=found.runtime
    )
    if told is not None and model.card.diagnosis is not None:
        result[diagnosis_key(model.card.diagnosis.demo)] = told
    if output is not None:
        worst = draw_worst_windows(scored.worst, found.classes) if scored.worst else None
        _write(output, result, scored.confusion, found.classes, worst)
    return result


def _model(config: EvaluateConfig) -> Model:
    from wsiseg.models import Model, load_model

    model = load_model(config.model.checkpoint)
    if config.model.input_scale is None:
        return model
    if model.card.domain != "photo":
        raise ModelRefusedError(
            f"model.input_scale is for photos; {model.card.name} is for slides: leave it out"
        )
    return Model(model.network, model.card.model_copy(update={"input_scale": config.model.input_scale}))


def _write(
    output: Path, result: dict[str, Any], confusion: Confusion, classes: ClassMap, worst: bytes | None
) -> None:
    from wsiseg.evaluation.figures import can_plot, draw_confusion
    from wsiseg.models.checkpoint import write_atomically

    output.mkdir(parents=True, exist_ok=True)
    if result["compared_px"] and can_plot():
        title = f"{result['model']} on {result['dataset']} {result['split']}: mean IoU {result['miou']:.4f}"
        write_atomically(output / "confusion.png", draw_confusion(confusion, classes, title))
    elif result["compared_px"]:
        result["warnings"].append("confusion.png needs matplotlib: pip install 'wsiseg[plots]'")
    if worst is not None:
        write_atomically(output / "worst_cases.png", worst)
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    write_atomically(output / "evaluation.json", text.encode())


def _check_apart(output: Path, config: EvaluateConfig) -> None:
    """Raise UsageError where a file to write is, holds or lies in an input."""
    from wsiseg.config import RegionsData, SlidesData

    root = config.data.root.resolve()
    if isinstance(config.data, SlidesData | RegionsData):
        return  # their root is where paths start from, often the folder that one works in
    for name in WRITTEN:
        path = (output / name).resolve()
        if path == root or path.is_relative_to(root) or root.is_relative_to(path):
            raise UsageError(f"the output {path} and data.root {root} overlap: give another folder with -o")


@contextmanager
def _progress() -> Iterator[Report | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("scored", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
