"""wsiseg calibrate: one temperature for a model, so that its confidence can be believed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wsiseg.cli.config_options import Changes
from wsiseg.errors import UsageError

if TYPE_CHECKING:
    from wsiseg.evaluation.calibrate import Calibration

EPILOG = (
    "Example: wsiseg calibrate configs/calibrate_folder.yaml --set fit.root=fit --set test.root=test "
    "-o calibrated"
)


def calibrate(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML of the calibration, see configs/.")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", metavar="DIR", help="Folder for the new model and what was measured."),
    ],
    set_: Changes = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Put the measurements on stdout as JSON, and nothing else.")
    ] = False,
) -> None:
    """Fit a temperature on one split and measure the calibration error on another.

    Writes a new model file (same weights, new card), calibration.json and reliability.png (needs
    matplotlib). Labels do not change; `predict --confidence` with the new model writes probabilities. Exit
    codes: 0 done, 2 wrong config, 3 data or model refused.
    """
    from wsiseg.config import CalibrateConfig, load_config

    wanted = load_config(config, set_ or [], CalibrateConfig)
    if wanted.model.input_scale is not None:
        raise UsageError("model.input_scale: a temperature belongs to the card's own scale; leave it out")
    from wsiseg.evaluation.calibrate import save_calibrated
    from wsiseg.models import load_model
    from wsiseg.scoring.calibration import calibrate_model

    model = load_model(wanted.model.checkpoint)
    path = output / f"{model.card.name}.safetensors"
    if path.exists():
        raise UsageError(f"{path}: exists already: give another folder with -o")
    found, warnings = calibrate_model(wanted, model)
    output.mkdir(parents=True, exist_ok=True)
    card = save_calibrated(model, found, path)
    notes = [*warnings, *_draw(output, found, f"{card.name}: temperature {card.temperature:.3f}")]
    result = {
        "model": card.name,
        "weights_sha256": card.weights_sha256,
        **found.describe(),
        "written": path.name,
        "warnings": notes,
    }
    text = json.dumps(result, indent=2, ensure_ascii=False) + "\n"
    (output / "calibration.json").write_text(text, encoding="utf-8")
    sys.stderr.writelines(f"wsiseg: {note}\n" for note in notes)
    if as_json:
        sys.stdout.write(text)
        return
    typer.echo(f"temperature {card.temperature:.4f}\n{card.temperature_note}\n\nwritten to {path}")


def _draw(output: Path, found: Calibration, title: str) -> list[str]:
    """Draw the reliability on the test split; return what there is to say where that cannot be."""
    from wsiseg.evaluation.figures import can_plot, draw_reliability
    from wsiseg.models.checkpoint import write_atomically

    if not can_plot():
        return ["reliability.png needs matplotlib: pip install 'wsiseg[plots]'"]
    title = f"{title}, on {found.tested_on}"
    write_atomically(output / "reliability.png", draw_reliability(found.before, found.after, title))
    return []
