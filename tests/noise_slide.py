"""A small slide of coarse noise, and the digest of everything below a folder: for tests of runs."""

import hashlib

import numpy as np
import tifffile


def write_noise_slide(path):
    """Write 1,222 x 1,333 px in tiles of 256, and return the path."""
    random = np.random.default_rng(5)
    rgb = random.integers(0, 256, (90, 80, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    tifffile.imwrite(path, rgb[:1333, :1222], tile=(256, 256), photometric="rgb", compression="zlib")
    return path


def tree_hash(folder):
    """Digest of every path and byte below a folder."""
    digest = hashlib.sha256()
    for file in sorted(item for item in folder.rglob("*") if item.is_file()):
        digest.update(f"{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()
