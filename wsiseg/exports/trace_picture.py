"""Where the time of a run went, as a picture: a flame of the stages, and what was at work when."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from wsiseg.exports.files import whole_file

WIDTH, MARGIN, ROW = 1400, 20, 26
FLAME_ROWS = 5
TIMELINE_PX = 220
WAITING = (214, 214, 214)
COLOURS = {
    "network": (200, 55, 45),
    "compile": (235, 150, 140),
    "decode": (40, 110, 180),
    "read": (90, 165, 225),
    "resample": (120, 190, 190),
    "stitch": (240, 180, 60),
    "write": (70, 150, 80),
    "halve": (160, 200, 110),
    "plan": (150, 110, 180),
    "finish": (190, 160, 210),
}
OTHER = (150, 140, 130)


def draw_trace(path: Path, account: dict[str, Any], title: str) -> None:
    """Write the picture of an account (see `wsiseg.trace`), PNG, whole or not at all."""
    stages = [name for name in COLOURS if name in account["stages"]]
    stages += [name for name in account["stages"] if name not in COLOURS]
    height = 2 * MARGIN + 60 + FLAME_ROWS * ROW + 70 + TIMELINE_PX + 50 + 22 * ((len(stages) + 2) // 3)
    image = Image.new("RGB", (WIDTH, height), "white")
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN, MARGIN), _plain(title), fill="black", font=_font(18))
    draw.text((MARGIN, MARGIN + 26), _headline(account), fill=(70, 70, 70), font=_font(14))
    top = MARGIN + 60
    _flame(draw, account["paths"], top)
    top += FLAME_ROWS * ROW + 30
    _timeline(draw, account, stages, top)
    _legend(draw, account, stages, top + TIMELINE_PX + 60)
    with whole_file(path, overwrite=True) as file:
        image.save(file, "PNG")


def _headline(account: dict[str, Any]) -> str:
    tiles, network = account["source_tiles"], account["network"]
    parts = [f"{account['seconds']:.1f} s, {account['threads']} threads"]
    if network["busy"] is not None:
        parts.append(f"network busy {100 * network['busy']:.0f} % of {network['streams']} streams")
    if tiles["distinct"]:
        parts.append(f"{tiles['decoded']:,} source tiles decoded, each {tiles['times_each']:.2f} times")
    return "; ".join(parts)


def _flame(draw: ImageDraw.ImageDraw, paths: dict[str, float], top: int) -> None:
    """Draw each stage as wide as its time, over what it stands in."""
    tree: dict[tuple[str, ...], float] = {}
    for text, seconds in paths.items():
        parts = tuple(text.split(";"))
        for depth in range(1, len(parts) + 1):
            tree[parts[:depth]] = tree.get(parts[:depth], 0.0) + seconds
    whole = sum(seconds for path, seconds in tree.items() if len(path) == 1)
    if not whole:
        return

    def place(parent: tuple[str, ...], left: float, width: float) -> None:
        children = [path for path in tree if len(path) == len(parent) + 1 and path[:-1] == parent]
        inside = tree[parent] if parent else whole
        for path in sorted(children, key=lambda path: -tree[path]):
            wide = width * tree[path] / inside
            row = top + min(len(path) - 1, FLAME_ROWS - 1) * ROW
            if wide < 1:  # the children are in order: what follows is no wider
                break
            draw.rectangle((left, row, left + wide - 1, row + ROW - 3), fill=_colour(path[-1]))
            label = f"{path[-1]} {tree[path]:.1f} s"
            if draw.textlength(label, font=_font(13)) + 8 < wide:
                draw.text((left + 4, row + 4), _plain(label), fill="black", font=_font(13))
            place(path, left, wide)
            left += wide

    place((), MARGIN, WIDTH - 2 * MARGIN)


def _timeline(draw: ImageDraw.ImageDraw, account: dict[str, Any], stages: list[str], top: int) -> None:
    """Draw how many threads were in each stage over time, waiting on top."""
    line = account["timeline"]
    working = [name for name in stages if not _waits(name)] + [name for name in stages if _waits(name)]
    bins = max((len(line["stages"].get(name, [])) for name in stages), default=0)
    if not bins:
        return
    scale = TIMELINE_PX / (account["threads"] * line["bin_seconds"])
    step = (WIDTH - 2 * MARGIN) / bins
    for number in range(bins):
        base = float(top + TIMELINE_PX)
        left = MARGIN + number * step
        for name in working:
            seconds = line["stages"].get(name, [0.0] * bins)[number]
            high = seconds * scale
            if high >= 0.5:
                draw.rectangle((left, base - high, left + step, base), fill=_colour(name))
            base -= high
    draw.line((MARGIN, top + TIMELINE_PX, WIDTH - MARGIN, top + TIMELINE_PX), fill="black")
    lasted = bins * line["bin_seconds"]
    for part in range(5):
        x = MARGIN + part * (WIDTH - 2 * MARGIN) / 4
        text = f"{lasted * part / 4:.1f} s"
        x = min(x, WIDTH - MARGIN - draw.textlength(text, font=_font(12)))
        draw.text((x, top + TIMELINE_PX + 5), text, fill=(70, 70, 70), font=_font(12))
    note = f"threads at work over time (of {account['threads']}); grey waits, white has nothing to do"
    draw.text((MARGIN, top - 18), note, fill=(70, 70, 70), font=_font(12))


def _legend(draw: ImageDraw.ImageDraw, account: dict[str, Any], stages: list[str], top: int) -> None:
    for number, name in enumerate(stages):
        x = MARGIN + (number % 3) * (WIDTH - 2 * MARGIN) // 3
        y = top + 22 * (number // 3)
        draw.rectangle((x, y + 2, x + 14, y + 14), fill=_colour(name))
        stage = account["stages"][name]
        text = f"{name}: {stage['seconds']:.2f} s in {stage['calls']:,}"
        draw.text((x + 22, y), _plain(text), fill="black", font=_font(13))


def _waits(stage: str) -> bool:
    return stage.startswith("wait")


def _colour(stage: str) -> tuple[int, int, int]:
    return WAITING if _waits(stage) else COLOURS.get(stage, OTHER)


def _plain(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text[:150])


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
