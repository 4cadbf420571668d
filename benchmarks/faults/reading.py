"""What becomes of a damaged slide: opened, described, read and predicted in a forked child with limits."""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import sys
import tempfile
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wsiseg.errors import WsisegError
from wsiseg.shortage import ShortageError
from wsiseg.slides.physical import plausible

CPU_LIMIT_S = 30
"""Of work; a busy machine makes nothing a hang."""
IDLE_LIMIT_S = 180.0
"""Of no work at all, for what waits forever. While this process is stopped or starved, nothing is counted."""
LOOK_S = 1.0
MEMORY_LIMIT = 3 * 2**30
"""Bytes that a child may take beyond what its parent had: far more than a slide of a megapixel needs."""
FILLS = (0, 128, 255)
"""Grey levels that decoders leave behind where they gave up."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Truth:
    """What the sound slide gives."""

    pixels: Pixels
    """(rows, columns, 3) of level 0."""
    mpp: tuple[float, float] | None
    labels: Pixels
    """(rows, columns) of the predicted label map."""
    looks_at_level_0: bool
    """Whether the labels were made of level 0 itself."""


def truth_of(path: Path, mpp: tuple[float, float], model: Any) -> Truth:
    """Read and predict a sound slide, in a child of its own; raises RuntimeError where it is not sound."""
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "truth.npz"

        def work() -> dict[str, Any]:
            from wsiseg.slides import open_slide

            pixels, unread, claimed = read_whole(path)
            labels = predict_whole(path, Path(folder), mpp, model)
            np.savez(kept, pixels=pixels, labels=labels)
            with open_slide(str(path)) as slide:
                direct = mpp == (1.0, 1.0) or len(slide.levels) == 1
            return {"outcome": "sound", "unread": bool(unread.any()), "mpp": claimed, "direct": direct}

        found = in_child(work)
        if found["outcome"] != "sound" or found["unread"]:
            raise RuntimeError(f"{path.name}: the original is not sound: {found}")
        with np.load(kept) as arrays:
            claimed = found["mpp"]
            mpp_of_file = None if claimed is None else (claimed[0], claimed[1])
            return Truth(arrays["pixels"], mpp_of_file, arrays["labels"], found["direct"])


def read_whole(path: Path) -> tuple[Pixels, NDArray[np.bool_], tuple[float, float] | None]:
    """Describe the slide as `info` does; return level 0, what of it is unread, and the mpp that it claims."""
    from wsiseg.cli.info import result_attributes
    from wsiseg.slides import describe, open_slide

    result_attributes(path)
    with open_slide(str(path)) as slide:
        json.dumps(describe(slide, redact=False))
        level = slide.levels[0]
        if level.width_px * level.height_px > 2**27:
            raise WsisegError(f"claims {level.width_px} x {level.height_px} px: too large to compare whole")
        pixels, unread = slide.read_region_masked(0, level.region)
        return pixels, unread, slide.mpp


def predict_whole(path: Path, out: Path, mpp: tuple[float, float], model: Any) -> Pixels:
    """Return the label map that `predict` writes, (rows, columns)."""
    import zarr

    from wsiseg import PredictOptions, segment_slide
    from wsiseg.exports import overlay

    overlay.PICTURE_PX = 200  # to pack a large picture would take half of the time, and is not looked at
    options = PredictOptions(
        model=model, slide_mpp=mpp, tissue="none", tile_px=256, halo_px=32, block_px=512,
        runtime="torch", precision="fp32", workers=1,
    )  # fmt: skip
    result = segment_slide(str(path), out, options, name="mutated")
    array = zarr.open_group(result.store, mode="r")["labels/tissue/0"]
    if array.size > 2**26:
        raise WsisegError(f"claims a label map of {array.shape}: too large to compare whole")
    return np.asarray(array[...])


def in_child(work: Any) -> dict[str, Any]:
    """Run `work()` in a forked child; return its dictionary, or how the child ended instead."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read_end)
        _limited(work, write_end)
    os.close(write_end)
    answer, idle_s, worked = b"", 0.0, 0
    while idle_s < IDLE_LIMIT_S:
        if select.select([read_end], [], [], LOOK_S)[0]:
            piece = os.read(read_end, 2**20)
            if not piece:
                break
            answer += piece
        else:
            before, worked = worked, _worked(child)
            idle_s = idle_s + LOOK_S if worked == before else 0.0
    else:
        os.kill(child, signal.SIGKILL)
    os.close(read_end)
    status = os.waitpid(child, 0)[1]
    if idle_s >= IDLE_LIMIT_S:
        return {"outcome": "hang", "said": f"no work for {IDLE_LIMIT_S:.0f} s"}
    if os.WIFSIGNALED(status):
        name = signal.Signals(os.WTERMSIG(status)).name
        return {"outcome": "hang" if name == "SIGXCPU" else "crash", "said": name}
    return dict(json.loads(answer)) if answer else {"outcome": "crash", "said": f"exit status {status}"}


def _worked(child: int) -> int:
    """Return the processor time that a child has had so far, in clock ticks (proc(5): utime and stime)."""
    fields = Path(f"/proc/{child}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _limited(work: Any, write_end: int) -> None:
    """Never returns."""
    try:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY_LIMIT,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S + 5))
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123
        try:
            answer = work()
        except (MemoryError, ShortageError):
            answer = {"outcome": "memory", "said": _last_lines()}
        except WsisegError as error:
            answer = {"outcome": "refused", "said": str(error)[:300]}
        except BaseException:  # a program error is what the campaign looks for
            answer = {"outcome": "error", "said": _last_lines()}
        os.write(write_end, json.dumps(answer).encode())
    finally:
        os._exit(0)


def _last_lines() -> str:
    return traceback.format_exc(limit=-3)[-600:]


def judge(path: Path, truth: Truth, mpp: tuple[float, float], model: Any) -> dict[str, Any]:
    """Compare a damaged slide with the sound one; one of the four outcomes that are allowed, or `blank`."""
    pixels, unread, claimed = read_whole(path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            labels = predict_whole(path, Path(folder), mpp, model)
        except ShortageError:
            raise
        except WsisegError as error:
            return {"outcome": "refused", "said": f"predict: {str(error)[:300]}"}
    if truth.mpp is not None and (claimed is None or not plausible(claimed)):
        return {"outcome": "refused", "said": f"without --slide-mpp: the mpp is {claimed}"}
    if pixels.shape != truth.pixels.shape or claimed != truth.mpp or labels.shape != truth.labels.shape:
        said = f"{pixels.shape[1::-1]} px at {claimed}, labels {labels.shape[::-1]}"
        flagged = (
            claimed == truth.mpp and _is_more_unread(pixels, unread, truth) and bool((labels == 254).any())
        )
        return {"outcome": "flagged" if flagged else "differ", "said": f"geometry: {said}"}
    differ = (pixels != truth.pixels).any(axis=2) & ~unread
    if differ.any():
        values = pixels[differ]
        flat = (values == values[:, :1]).all(axis=1) & np.isin(values[:, 0], FILLS)
        share = f"{int(differ.sum())} px differ, {int(flat.sum())} of them blank"
        return {"outcome": "blank" if flat.mean() > 0.5 and flat.sum() >= 64 else "differ", "said": share}
    if unread.any():
        flagged = int((labels == 254).sum())
        if not flagged and truth.looks_at_level_0:
            return {"outcome": "lost", "said": f"{int(unread.sum())} px unread, no label is 254"}
        return {"outcome": "flagged", "said": f"{int(unread.sum())} px unread, {flagged} labels 254"}
    if not np.array_equal(labels, truth.labels):
        return {"outcome": "differ", "said": f"{int((labels != truth.labels).sum())} labels differ"}
    return {"outcome": "equal", "said": ""}


def _is_more_unread(pixels: Pixels, unread: NDArray[np.bool_], truth: Truth) -> bool:
    """Tell whether a slide of another size is the sound one, but for what is unread."""
    rows, columns = (min(pair) for pair in zip(pixels.shape[:2], truth.pixels.shape[:2], strict=True))
    beyond = unread.copy()
    beyond[:rows, :columns] = True
    same = (pixels[:rows, :columns] == truth.pixels[:rows, :columns]).all(axis=2)
    return bool(beyond.all() and (same | unread[:rows, :columns]).all())
