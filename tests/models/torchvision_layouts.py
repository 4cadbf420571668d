"""Names and shapes of torchvision's public state dicts, written down from their description, not from ours.

`PUBLISHED` are the parameter counts that torchvision's documentation gives for them, classifier included.
"""

Shapes = dict[str, tuple[int, ...]]

PUBLISHED = {
    "resnet101": 44_549_160,
    "vgg16": 138_357_544,
    "vgg16_bn": 138_365_992,
    "squeezenet1_1": 1_235_496,
}

_VGG_CONVS = (
    (3, 64),
    (64, 64),
    (64, 128),
    (128, 128),
    (128, 256),
    (256, 256),
    (256, 256),
    (256, 512),
    (512, 512),
    (512, 512),
    (512, 512),
    (512, 512),
    (512, 512),
)
_VGG16_AT = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_VGG16_BN_AT = (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40)

_FIRES = {  # number: (in, squeeze, expand)
    3: (64, 16, 64),
    4: (128, 16, 64),
    6: (128, 32, 128),
    7: (256, 32, 128),
    9: (256, 48, 192),
    10: (384, 48, 192),
    11: (384, 64, 256),
    12: (512, 64, 256),
}


def layout(name: str) -> Shapes:
    """Return name -> shape of every tensor, classifier, running statistics and counters included."""
    return {"resnet101": _resnet101, "vgg16": _vgg16, "vgg16_bn": _vgg16_bn, "squeezenet1_1": _squeezenet}[
        name
    ]()


def parameters(shapes: Shapes) -> int:
    """Return the number of trainable values."""
    total = 0
    for name, shape in shapes.items():
        if "running" in name or "tracked" in name:
            continue
        size = 1
        for side in shape:
            size *= side
        total += size
    return total


def _norm(name: str, channels: int) -> Shapes:
    found: Shapes = {
        f"{name}.{what}": (channels,) for what in ("weight", "bias", "running_mean", "running_var")
    }
    return found | {f"{name}.num_batches_tracked": ()}


def _vgg_wide() -> Shapes:
    return {
        "classifier.0.weight": (4096, 25088),
        "classifier.0.bias": (4096,),
        "classifier.3.weight": (4096, 4096),
        "classifier.3.bias": (4096,),
        "classifier.6.weight": (1000, 4096),
        "classifier.6.bias": (1000,),
    }


def _vgg16() -> Shapes:
    found: Shapes = {}
    for at, (before, after) in zip(_VGG16_AT, _VGG_CONVS, strict=True):
        found |= {f"features.{at}.weight": (after, before, 3, 3), f"features.{at}.bias": (after,)}
    return found | _vgg_wide()


def _vgg16_bn() -> Shapes:
    found: Shapes = {}
    for at, (before, after) in zip(_VGG16_BN_AT, _VGG_CONVS, strict=True):
        found |= {f"features.{at}.weight": (after, before, 3, 3), f"features.{at}.bias": (after,)}
        found |= _norm(f"features.{at + 1}", after)
    return found | _vgg_wide()


def _squeezenet() -> Shapes:
    found: Shapes = {"features.0.weight": (64, 3, 3, 3), "features.0.bias": (64,)}
    for at, (before, narrow, wide) in _FIRES.items():
        found |= {
            f"features.{at}.squeeze.weight": (narrow, before, 1, 1),
            f"features.{at}.squeeze.bias": (narrow,),
            f"features.{at}.expand1x1.weight": (wide, narrow, 1, 1),
            f"features.{at}.expand1x1.bias": (wide,),
            f"features.{at}.expand3x3.weight": (wide, narrow, 3, 3),
            f"features.{at}.expand3x3.bias": (wide,),
        }
    return found | {"classifier.1.weight": (1000, 512, 1, 1), "classifier.1.bias": (1000,)}


def _resnet101() -> Shapes:
    found: Shapes = {"conv1.weight": (64, 3, 7, 7)} | _norm("bn1", 64)
    before = 64
    for stage, (count, width) in enumerate(((3, 64), (4, 128), (23, 256), (3, 512)), start=1):
        for block in range(count):
            at = f"layer{stage}.{block}"
            found |= {f"{at}.conv1.weight": (width, before, 1, 1)} | _norm(f"{at}.bn1", width)
            found |= {f"{at}.conv2.weight": (width, width, 3, 3)} | _norm(f"{at}.bn2", width)
            found |= {f"{at}.conv3.weight": (4 * width, width, 1, 1)} | _norm(f"{at}.bn3", 4 * width)
            if block == 0:
                found |= {f"{at}.downsample.0.weight": (4 * width, before, 1, 1)}
                found |= _norm(f"{at}.downsample.1", 4 * width)
            before = 4 * width
    return found | {"fc.weight": (1000, 2048), "fc.bias": (1000,)}
