"""A drawn street: sky, houses with windows, trees, a road with markings, a car.

Enough for a network to find its way.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def draw_street(width_px=1024, height_px=512, seed=0):
    """RGB (height, width, 3) uint8 of a street seen from a car, with photo-like noise and blur."""
    random = np.random.default_rng(seed)
    scale = height_px / 512
    image = Image.new("RGB", (width_px, height_px), (118, 112, 104))
    draw = ImageDraw.Draw(image)
    horizon, middle = int(230 * scale), width_px // 2
    for y in range(horizon + 10):
        draw.line(
            [(0, y), (width_px, y)],
            fill=(222 + y * 22 // horizon, 230 + y * 18 // horizon, 236 + y * 14 // horizon),
        )
    for side in (-1, 1):
        x = middle + side * int(120 * scale)
        while 0 < x < width_px:
            wide, tall = int(random.integers(90, 160) * scale), int(random.integers(120, 200) * scale)
            left = x if side > 0 else x - wide
            grey = int(random.integers(85, 125))
            draw.rectangle(
                [left, horizon + 20 * scale - tall, left + wide, horizon + 30 * scale],
                fill=(grey + 12, grey + 4, grey - 6),
            )
            for wx in range(left + 10, left + wide - 14, int(24 * scale)):
                for wy in range(int(horizon + 30 * scale - tall), horizon, int(34 * scale)):
                    draw.rectangle([wx, wy, wx + 10 * scale, wy + 18 * scale], fill=(48, 52, 60))
            x += side * (wide + 2)
    ground = horizon + int(22 * scale)
    draw.polygon(
        [
            (middle - 60 * scale, ground),
            (middle + 60 * scale, ground),
            (width_px * 1.1, height_px),
            (-width_px * 0.1, height_px),
        ],
        fill=(88, 88, 92),
    )
    for side in (-1, 1):
        draw.polygon(
            [
                (middle + side * 60 * scale, ground),
                (middle + side * 120 * scale, ground),
                (middle + side * width_px, height_px),
                (middle + side * width_px * 0.62, height_px),
            ],
            fill=(128, 124, 122),
        )
    for step in range(8):
        y0 = ground + (height_px - ground) * (step / 8) ** 1.6
        y1 = ground + (height_px - ground) * ((step + 0.45) / 8) ** 1.6
        draw.polygon(
            [
                (middle - 1 - step, y0),
                (middle + 1 + step, y0),
                (middle + 2 + step, y1),
                (middle - 2 - step, y1),
            ],
            fill=(190, 190, 188),
        )
    for x in (0.16, 0.27, 0.76, 0.9):
        cx, cy = x * width_px, horizon - 20 * scale
        draw.rectangle([cx - 4 * scale, cy, cx + 4 * scale, ground + 30 * scale], fill=(60, 48, 40))
        for _ in range(140):
            dx, dy = random.normal(0, 30 * scale, 2)
            r, green = random.uniform(4, 11) * scale, int(random.integers(45, 95))
            draw.ellipse(
                [cx + dx - r, cy + dy - r - 20 * scale, cx + dx + r, cy + dy + r - 20 * scale],
                fill=(green // 2 + 10, green, green // 3 + 8),
            )
    left, top, wide, tall = middle + 40 * scale, ground + 18 * scale, 90 * scale, 46 * scale
    draw.rounded_rectangle([left, top + tall * 0.4, left + wide, top + tall * 1.2], 6, fill=(28, 32, 62))
    draw.rounded_rectangle(
        [left + wide * 0.14, top, left + wide * 0.86, top + tall * 0.6], 8, fill=(34, 38, 70)
    )
    draw.rectangle(
        [left + wide * 0.22, top + tall * 0.1, left + wide * 0.78, top + tall * 0.42], fill=(70, 80, 92)
    )
    for wheel in (0.16, 0.84):
        draw.rectangle(
            [left + wide * wheel - 7 * scale, top + tall, left + wide * wheel + 7 * scale, top + tall * 1.42],
            fill=(16, 16, 18),
        )
    for lamp in (0.08, 0.92):
        draw.ellipse(
            [
                left + wide * lamp - 5 * scale,
                top + tall * 0.6,
                left + wide * lamp + 5 * scale,
                top + tall * 0.8,
            ],
            fill=(170, 20, 20),
        )
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(1.5 * scale))).astype(float)
    grain = random.normal(0, 1, soft.shape)
    return np.clip(soft + grain, 0, 255).astype(np.uint8)
