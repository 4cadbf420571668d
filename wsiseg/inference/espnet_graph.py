"""ESPNet written out as an OpenVINO graph: the function of the module, in fewer passes over memory.

A graph converted operation by operation spends as long on moving maps as on its convolutions. Here

- the image pyramid is part of the first two convolutions (a mean is one), side by side with level 1;
- linear operations in a row are one: classifier, normalisation and up-sampling; a normalisation and the
  convolution before it;
- maps that are concatenated are filled with channels of zeros up to whole vectors of 16;
- up-sampling by 2 x 2 is a 1x1 convolution to four times the channels, which are then laid side by side;
- narrow ESPs sum their branches inside of a convolution, in fp32: maps in bfloat16 are rounded each time;
- the last up-sampling, the argmax and the confidence are element-wise on one plane per channel, at half the
  resolution, so no map of logits is ever written.

What it gives equals what the module gives but for the order of sums; the tests compare the labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
from openvino import opset13 as ops

from wsiseg.confidence import HIGHEST, LOWEST
from wsiseg.inference.graph_parts import (
    Array,
    Part,
    constant,
    convolution,
    doubled,
    filled,
    fold,
    norm_act,
    per_channel,
    placed,
    prelu,
    scaled,
    weighted,
    widened,
)
from wsiseg.models.card import shrink_of
from wsiseg.models.espnet_layout import STRIDED_K

if TYPE_CHECKING:
    from wsiseg.models import Model

STEM = 24
"""Channels of the first map: level 1 (16), the halved image (3), the same as it was (3), zeros."""
MOST_CLASSES = 12
"""The last part grows with the square of this; from here on a plain conversion is as good."""
WIDEST_SUM = 64
"""Channels of an ESP up to which summing its branches in a convolution costs no time."""


def can_write(model: Model) -> bool:
    """Return whether `espnet_graph` knows this network."""
    layout = model.layout
    return (
        layout is not None
        and layout.is_all_esp
        and layout.num_classes <= MOST_CLASSES
        and shrink_of(model.card) == 1
    )


def espnet_graph(model: Model, shape: tuple[int, ...], *, confidence: bool = False) -> Any:
    """Return the graph: (N, rows, columns, 3) uint8 -> ids, and confidences, (N, rows, columns) uint8.

    As `wsiseg.models.normalise.Segmenter`, whose description holds here too. Only for what `can_write`.
    """
    layout = model.layout
    if layout is None:
        raise ValueError(f"{model.card.name} is no ESPNet")
    image = ops.parameter(list(shape), np.uint8, name="image")
    network = Part(model.tensors())
    encoder = network / "encoder"
    chosen = layout.options
    module = Fusion(k=chosen.k, residual=chosen.residual, hff=chosen.hff, dilated=chosen.dilated)
    strided = Fusion(hff=chosen.hff, dilated=chosen.dilated)
    raw, stem = _stem(model, encoder, image)

    # The second halving of the image rides on the reduction of down2, behind its own channels.
    reduce = (encoder / "down2" / "reduce").weight
    narrow = reduce.shape[0]
    weight = np.zeros((filled(narrow + 3), STEM, 3, 3))
    weight[:narrow, :19] = reduce
    weight[narrow : narrow + 3, 19:22] = np.eye(3)[:, :, None, None] / 9
    reduced = convolution(stem, weight, stride=2)
    down2 = _branches(strided, encoder / "down2", reduced)
    level2 = down2
    for index in range(chosen.alpha2):
        level2 = _esp(module, encoder / "level2" / index, level2)
    # Channels of the map: level 2, down2, and `reduced`, of which only the image counts.
    wide = 2 * int(down2.get_output_shape(0)[1])
    used = [*range(wide), *range(wide + narrow, wide + narrow + 3)]
    total = wide + weight.shape[0]
    scale, shift, slope = (placed(part, used, total) for part in norm_act(encoder / "norm2"))
    out2 = scaled(ops.concat([level2, down2, reduced], 1), scale, shift, slope)

    reduce = widened((encoder / "down3" / "reduce").weight, used, total)
    down3 = _branches(strided, encoder / "down3", convolution(out2, reduce, stride=2))
    level3 = down3
    for index in range(chosen.alpha3):
        level3 = _esp(module, encoder / "level3" / index, level3)
    out3 = scaled(ops.concat([down3, level3], 1), *norm_act(encoder / "norm3"))

    scale, shift = fold(network / "norm3")
    up = (network / "up3").weight  # (in, out, 2, 2)
    classifier = (encoder / "classifier").weight[:, :, 0, 0] * scale[:, None]
    deep = doubled(
        out3, np.einsum("ck,cohw->kohw", classifier, up), np.einsum("c,cohw->hwo", shift, up).ravel()
    )
    merged = ops.concat([convolution(out2, widened((network / "reduce2").weight, used, total)), deep], 1)
    merged = _esp(Fusion(), network / "merge2" / 1, scaled(merged, *norm_act(network / "merge2" / 0)))

    scale, shift, slope = norm_act(network / "up2" / 1)
    up = (network / "up2" / 0).weight * scale[:, None, None]
    fine = doubled(merged, up, np.tile(shift, 4), np.tile(slope, 4))
    scale, shift, slope = norm_act(network / "merge1" / "norm")
    merge1 = (network / "merge1" / "conv").weight
    weight = np.zeros((merge1.shape[0], layout.num_classes + STEM, 3, 3))
    weight[:, : merge1.shape[1]] = merge1 * scale[:, None, None, None]
    shallow = raw if layout.decoder == "v1" else stem
    last = convolution(ops.concat([fine, shallow], 1), weight)
    last = prelu(ops.add(last, per_channel(shift)), slope)
    up = (network / "up1").weight
    return openvino.Model(_head(model, last, up, shape, confidence), [image], model.card.name)


def _stem(model: Model, encoder: Part, image: Any) -> tuple[Any, Any]:
    """Return the first map (N, STEM, H/2, W/2) before and after the second normalisation and activation.

    Before it, the image's channels are sums of nine pixels; after it means, three of them normalised.
    """
    card = model.card
    mean, std = np.array(card.mean, np.float64), np.array(card.std, np.float64) * card.divide_by
    first, act = (encoder / "level1" / "conv").weight, norm_act(encoder / "level1" / "norm")
    weight = np.zeros((STEM, 3, 3, 3))
    weight[:16] = first * act[0][:, None, None, None]
    weight[16:19] = weight[19:22] = np.eye(3)[:, :, None, None]
    if card.channel_order == "bgr":
        mean, std, weight = mean[::-1], std[::-1], weight[:, ::-1]
    pixels = ops.multiply(ops.convert(image, "f32"), constant((1 / std).reshape(1, 1, 1, 3)))
    pixels = ops.add(pixels, constant((-mean / std).reshape(1, 1, 1, 3)))
    pixels = ops.transpose(pixels, ops.constant(np.array([0, 3, 1, 2])))
    level1 = ops.add(convolution(pixels, weight, stride=2), per_channel(placed(act[1], range(16), STEM)))
    raw = prelu(level1, placed(act[2], range(16), STEM, 1.0))
    scale, shift, slope = norm_act(encoder / "norm1")
    scale[16:] /= 9
    scale = np.concatenate([scale, np.full(3, 1 / 9)])
    scale = placed(scale, range(22), STEM)
    return raw, scaled(raw, scale, placed(shift, range(19), STEM), placed(slope, range(19), STEM, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """How an ESP spreads and fuses."""

    k: int = STRIDED_K
    residual: bool = False
    hff: bool = True
    dilated: bool = True


def _esp(fusion: Fusion, block: Part, x: Any) -> Any:
    """Return what an ESP makes of a map."""
    return _branches(fusion, block, convolution(x, (block / "reduce").weight), x)


def _branches(fusion: Fusion, block: Part, reduced: Any, x: Any = None) -> Any:
    """Return what an ESP makes of its reduced map, in which more channels may follow its own."""
    width = int(reduced.get_output_shape(0)[1])
    parts, widths = [], []
    for index in range(fusion.k):
        weight = (block / "branches" / index).weight
        weight = widened(weight, range(weight.shape[1]), width)
        parts.append(convolution(reduced, weight, dilation=2**index if fusion.dilated else 1))
        widths.append(len(weight))
    if fusion.hff and sum(widths) <= WIDEST_SUM:
        merged = ops.convolution(
            ops.concat(parts, 1), constant(_sums(widths)), [1, 1], [0, 0], [0, 0], [1, 1]
        )
    else:
        if fusion.hff:
            for index in range(2, len(parts)):
                parts[index] = ops.add(parts[index - 1], parts[index])
        merged = ops.concat(parts, 1)
    if fusion.residual:
        merged = ops.add(merged, x)
    return scaled(merged, *norm_act(block / "norm"))


def _sums(widths: list[int]) -> Array:
    """Return the fusion of branches as weights: from the third on, each gets those from the second on."""
    starts = np.concatenate([[0], np.cumsum(widths)])
    weight = np.zeros((sum(widths), sum(widths), 1, 1))
    for index, width in enumerate(widths):
        for part in range(1, index + 1) if index else [0]:
            for channel in range(width):
                weight[starts[index] + channel, starts[part] + channel] = 1
    return weight


def _head(model: Model, last: Any, up: Array, shape: tuple[int, ...], confidence: bool) -> list[Any]:
    """Return ids, and confidences, of the last up-sampling of a map (N, C, H/2, W/2)."""
    batch, rows, columns, _ = shape
    classes = [(index, item.id) for index, item in enumerate(model.card.classes) if item.predicted]
    planes = ops.reshape(last, ops.constant(np.array([batch, len(up), rows * columns // 4])), False)
    channels = ops.split(planes, ops.constant(np.int64(1)), len(up)).outputs()
    made: list[tuple[Any, ...]] = []
    for row, column in np.ndindex(2, 2):
        logits = [weighted(channels, up[:, index, row, column]) for index, _ in classes]
        ids, highest = constant(np.full((1, 1, 1), classes[0][1])), logits[0]
        for logit, (_, number) in zip(logits[1:], classes[1:], strict=True):
            ids = ops.select(ops.greater(logit, highest), constant(np.full((1, 1, 1), number)), ids)
            highest = ops.maximum(logit, highest)
        if not confidence:
            made.append((ids,))
            continue
        cool = constant(np.full((1, 1, 1), 1 / model.card.temperature))
        shares = [ops.exp(ops.multiply(ops.subtract(logit, highest), cool)) for logit in logits]
        total = shares[0]
        for share in shares[1:]:
            total = ops.add(total, share)
        nearest = ops.add(
            ops.divide(constant(np.full((1, 1, 1), HIGHEST)), total), constant(np.full((1, 1, 1), 0.5))
        )
        made.append((ids, ops.clamp(ops.floor(nearest), float(LOWEST), float(HIGHEST))))
    outputs = []
    for quarter in zip(*made, strict=True):
        # Bytes before they are laid side by side: a quarter of the memory.
        whole = ops.concat([ops.convert(part, "u8") for part in quarter], 1)
        whole = ops.reshape(whole, ops.constant(np.array([batch, 4, rows // 2, columns // 2])), False)
        whole = ops.depth_to_space(whole, "blocks_first", 2)
        outputs.append(ops.reshape(whole, ops.constant(np.array([batch, rows, columns])), False))
    return outputs
