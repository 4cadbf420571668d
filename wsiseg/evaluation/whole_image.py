"""Labels of a whole small picture from a network, and its confusion counts: for validation and scoring."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wsiseg.class_map import NOT_ANALYSED
from wsiseg.evaluation.confusion import Confusion


def segment_picture(
    network: nn.Module,
    normalise: Callable[[Tensor], Tensor],
    rgb: NDArray[np.uint8],
    ids: tuple[int, ...],
    among: tuple[int, ...] | None = None,
) -> NDArray[np.uint8]:
    """Return label ids (rows, columns) uint8 of an RGB picture (rows, columns, 3), in one piece.

    Sides are padded with white to the network's multiple. `ids` are the labels of the output channels;
    with `among`, only these compete. `normalise` maps uint8 (1, 3, H, W) RGB to the network's input.
    """
    height, width = rgb.shape[:2]
    multiple = int(getattr(network, "input_multiple", 8))
    down, right = -height % multiple, -width % multiple
    padded = np.pad(rgb, ((0, down), (0, right), (0, 0)), constant_values=255)
    image = normalise(torch.from_numpy(padded.transpose(2, 0, 1)[None].copy()))
    was_training = network.training
    network.eval()
    with torch.inference_mode():
        logits = network(image).float()
        stride = int(getattr(network, "output_stride", 1))
        if stride > 1:
            logits = torch.nn.functional.interpolate(
                logits, scale_factor=stride, mode="bilinear", align_corners=False
            )
        channels = [ids.index(label) for label in (among or ids)]
        best = logits[0, channels].argmax(dim=0).numpy()[:height, :width]
    network.train(was_training)
    table = np.asarray(among or ids, np.uint8)
    return np.asarray(table[best.ravel()].reshape(best.shape))


def score_pictures(
    predict: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    pictures: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    ids: tuple[int, ...],
) -> Confusion:
    """Count predictions on (rgb, truth) pairs over the classes `ids`; other truth is ignored."""
    confusion = Confusion(ids)
    keep = np.full(256, NOT_ANALYSED, np.uint8)
    keep[list(ids)] = ids
    for rgb, truth in pictures:
        confusion.add(keep[truth], predict(rgb))
    return confusion
