"""A training run from its config to its weights; read this first.

Run again with the same config and folder, it goes on from the last saved state, and on the CPU ends in
the same bytes as a run that was never interrupted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from wsiseg.errors import UsageError
from wsiseg.models import load_model, save_model
from wsiseg.models.checkpoint import stored_tensors
from wsiseg.training.config import TrainConfig
from wsiseg.training.epoch_end import EpochEnd, Watcher
from wsiseg.training.joint import JointEpochEnd, JointStepper, joint_stages
from wsiseg.training.loop import Hooks, train_stage
from wsiseg.training.losses import class_weights
from wsiseg.training.processes import Processes, join
from wsiseg.training.run_folder import RunFolder
from wsiseg.training.source import open_source
from wsiseg.training.source_type import Source
from wsiseg.training.start import Start, encoder_card, start
from wsiseg.training.state import Position, load_position, load_state, save_state
from wsiseg.training.step import Stage, Stepper, make_optimiser, memory_layout

log = logging.getLogger(__name__)


def train(config: TrainConfig, folder: Path, watcher: Watcher) -> dict[str, Any]:
    """Train, or go on with, the run in `folder`; return what it came to, as in its done.json.

    Raises UsageError where the folder holds something else, DivergedError where the loss stops being finite.
    """
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    with join(config.device) as processes, _deterministic(processes.device.type == "cpu"):
        run = RunFolder(folder)
        if processes.is_first:
            run.claim(config)
        try:
            processes.wait_for_all()
            done = run.read_json("done.json")
            if done is not None:
                watcher.say(f"{folder}: is finished; nothing to do")
                return done
            with _logged(run if processes.is_first else None):
                return _train(config, run, processes, watcher)
        finally:
            if processes.is_first:
                run.release()


def _train(config: TrainConfig, run: RunFolder, processes: Processes, watcher: Watcher) -> dict[str, Any]:
    if config.precision == "fp16" and processes.device.type == "cpu":
        raise UsageError("precision is fp16, which needs a GPU: use precision=bf16 or fp32")
    source = _open_in_turn(config, run, processes)
    begun = start(config, source)
    if processes.is_first:
        _keep_facts(run, source, begun)
    _say(watcher, begun, source)
    network = begun.network
    layout = memory_layout(config.precision, processes.device)
    network.to(processes.device).to(memory_format=layout)  # type: ignore[call-overload]
    position = Position()
    if run.state.is_file():
        position = load_position(run.state)
        watcher.say(
            f"going on after {position.epoch} epochs and {position.step} steps of stage {position.stage + 1}"
        )
    rows = [
        row for row in run.rows() if (row["stage_index"], row["epoch"]) < (position.stage, position.epoch)
    ]
    for stage in _stages(config, begun, source)[position.stage :]:
        optimiser = make_optimiser(stage, config.weight_decay)
        if run.state.is_file() and position.stage == stage.index:
            load_state(run.state, network, optimiser)
        else:
            position = Position(stage=stage.index)
        make_stepper, make_end = (JointStepper, JointEpochEnd) if config.joint else (Stepper, EpochEnd)
        stepper = make_stepper(stage, config, processes, optimiser)

        def keep(now: Position, optimiser: torch.optim.Adam = optimiser) -> None:
            if processes.is_first:
                save_state(run.state, network, optimiser, now)

        best_file = run.path / f"{stage.part or 'best'}.safetensors"
        at_end = make_end(run, config, source, stage, best_file, processes, watcher, rows)
        train_stage(
            stage, config, source.patches, source.groups, processes, stepper, position,
            Hooks(on_step=watcher.step, on_epoch=at_end, on_state=keep),
        )  # fmt: skip
        processes.wait_for_all()
        if stage.part:
            _take_over(network.get_submodule(stage.part), best_file)
    return _finish(run, begun, rows, processes)


def _stages(config: TrainConfig, begun: Start, source: Source) -> list[Stage]:
    """Return ESPNet-C (or Y-Net's segmentation) first, where the config asks for it, and then everything."""
    weights = class_weights(source.frequencies, config.class_weight_offset)
    if config.joint is not None:
        return joint_stages(config, config.joint, begun, weights)
    rates, frozen = {}, []
    if config.init is not None:
        rates = dict.fromkeys(begun.kept, config.init.kept_rate)
        if config.init.freeze_encoder:
            rates |= {name: 0.0 for name in begun.kept if name.startswith("encoder.")}
            frozen.append(begun.network.get_submodule("encoder"))
    in_whole = dict(rates)
    if config.encoder is not None:
        for name, _ in begun.network.named_parameters():
            if name.startswith("encoder."):
                in_whole[name] = rates.get(name, 1.0) * config.encoder_rate
    whole = Stage(
        index=0 if config.encoder is None else 1,
        name="whole",
        network=begun.network,
        card=begun.card,
        config=config.whole,
        weights=weights,
        rates=in_whole,
        frozen=frozen,
    )
    if config.encoder is None:
        return [whole]
    encoder = Stage(
        index=0,
        name="encoder",
        part="encoder",
        network=begun.network.get_submodule("encoder"),
        card=encoder_card(begun.card),
        config=config.encoder,
        weights=weights,
        rates={name.removeprefix("encoder."): share for name, share in rates.items()},
    )
    return [encoder, whole]


def _take_over(part: torch.nn.Module, best: Path) -> None:
    """Fill a part of the network with the best state of its own stage."""
    found = stored_tensors(load_model(best).network)
    with torch.no_grad():
        for name, tensor in stored_tensors(part).items():
            tensor.copy_(found[name])


def _finish(run: RunFolder, begun: Start, rows: list[dict[str, Any]], processes: Processes) -> dict[str, Any]:
    """Write the last weights, and the run's outcome, which says that it is done."""
    whole = [row for row in rows if row["stage"] == "whole"]
    best = [row for row in whole if row["best"]][-1]
    done = {
        "name": begun.card.name,
        "best": {"file": run.best.name, "epoch": best["epoch"], "mean_iou": best["mean_iou"]},
        "last": {"file": run.last.name, "epoch": whole[-1]["epoch"], "mean_iou": whole[-1]["mean_iou"]},
        "replaced_layers": list(begun.replaced),
        "folder": str(run.path),
    }
    if processes.is_first:
        scores = {key: whole[-1][key] for key in ("mean_iou", "pixel_accuracy", "iou")}
        card = begun.card.model_copy(update={"scores": {"validation": scores, "epoch": whole[-1]["epoch"]}})
        save_model(run.last, begun.network, card)
        run.write_json("done.json", done)
    processes.wait_for_all()
    return done


def _open_in_turn(config: TrainConfig, run: RunFolder, processes: Processes) -> Source:
    """Open the data, the first process before the others: it fills caches that they find."""
    if processes.is_first:
        source = open_source(config, run.path)
    processes.wait_for_all()
    return source if processes.is_first else open_source(config, run.path)


def _keep_facts(run: RunFolder, source: Source, begun: Start) -> None:
    """Write what the data are. Raises UsageError where an earlier call of the run found others."""
    facts = {
        "classes": [item.name for item in source.classes.classes],
        "frequencies": source.frequencies.round(6).tolist(),
        "patches_per_epoch": len(source.patches),
        "validation_regions": len(source.validation),
        "mean": list(begun.card.mean),
        "std": list(begun.card.std),
        "said": source.said,
    }
    before = run.read_json("data.json")
    if run.has_learnt and before is not None and before != facts:
        changed = ", ".join(sorted(key for key in facts if before.get(key) != facts[key])) or "its keys"
        raise UsageError(
            f"{run.path}: the data have changed since the run began ({changed}): put them back, "
            "or begin anew in another folder with -o"
        )
    run.write_json("data.json", facts)


def _say(watcher: Watcher, begun: Start, source: Source) -> None:
    for warning in source.warnings:
        watcher.say(f"warning: {warning}")
    if begun.replaced:
        watcher.say(f"begun anew for other classes: {', '.join(begun.replaced)}")


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    """Ask torch for kernels that repeat themselves."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


@contextmanager
def _logged(run: RunFolder | None) -> Iterator[None]:
    """Write what is logged, and the error that ends a run, into the run's train.log."""
    if run is None:
        yield
        return
    handler = logging.FileHandler(run.log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger("wsiseg.training")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        log.info("begins")
        yield
        log.info("is done")
    except BaseException as error:
        log.error("ended by %s: %s", type(error).__name__, error, exc_info=True)
        raise
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        handler.close()
