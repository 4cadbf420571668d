"""Which codecs of a Zarr array are let near a hostile file, and a store that checks what they do not."""

from __future__ import annotations

import struct
from typing import Any

from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import WrapperStore

SAFE_CODECS = frozenset(
    {
        *("bytes", "transpose", "sharding_indexed", "crc32c", "delta", "shuffle"),
        *("blosc", "gzip", "zlib", "zstd", "lz4", "bz2", "lzma"),
    }
)
"""Codecs that only unpack bytes. Zarr 2 also knows `pickle`, which runs the file's own code."""

_BLOSC_HEADER = 16


class DamagedChunkError(ValueError):
    """Stored bytes that the codec would take for whole."""


class CheckedStore(WrapperStore[Any]):
    """Checks the length of blosc chunks, which numcodecs does not.

    numcodecs 0.16 hands blosc a pointer without a length: of a truncated chunk, blosc reads whatever
    lies behind it in memory and returns that as pixels.
    """

    def __init__(self, store: Any) -> None:
        super().__init__(store)
        self.arrays: dict[str, bool] = {}
        """Path of each array whose chunks are blosc: whether they lie in shards."""

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the bytes of a key; DamagedChunkError for blosc data of another length than they say."""
        found = await super().get(key, prototype, byte_range)
        if found is None or key.rsplit("/", 1)[-1] in ("zarr.json", ".zarray", ".zattrs", ".zgroup"):
            return found
        for path, sharded in self.arrays.items():
            if key.startswith(f"{path}/") or not path:
                # Of a shard, ranges of one chunk each are read, its index (no blosc), or all of it.
                if not sharded or type(byte_range).__name__ == "RangeByteRequest":
                    check_blosc(found.to_bytes()[:_BLOSC_HEADER], len(found))
                break
        return found


def check_blosc(header: bytes, length: int) -> None:
    """Compare a blosc buffer's length with its header (bytes 12 to 16, README_CHUNK_FORMAT of c-blosc)."""
    if len(header) < _BLOSC_HEADER:
        raise DamagedChunkError(f"{length} bytes are too few for a blosc header")
    said = struct.unpack_from("<I", header, 12)[0]
    if said != length:
        raise DamagedChunkError(f"{length} bytes stored, the blosc header says {said}")


def codec_names(array: Any) -> list[str]:
    """Return the names of all codecs of an array in the order of encoding, those inside of shards too."""

    def names(items: Any) -> list[str]:
        found = []
        for item in items:
            own = item.to_dict() if hasattr(item, "to_dict") else item
            found.append(str(own.get("name", "")).removeprefix("numcodecs."))
            inside = own.get("configuration") or {}
            found += names(inside.get("codecs", ())) + names(inside.get("index_codecs", ()))
        return found

    metadata = array.metadata
    if metadata.zarr_format == 3:
        return names(metadata.codecs)
    return [
        str(item.codec_id) for item in (*(metadata.filters or ()), metadata.compressor) if item is not None
    ]


def refused_codecs(names: list[str]) -> str:
    """Say what is wrong with an array's codecs, "" where nothing is."""
    unknown = sorted(set(names) - SAFE_CODECS)
    if unknown:
        return f"packed with {', '.join(unknown)[:80]}: expected one of {', '.join(sorted(SAFE_CODECS))}"
    after = names[names.index("blosc") + 1 :] if "blosc" in names else []
    # The length is checked where blosc is what was stored; the index of a shard follows with its own two.
    if after not in ([], ["bytes"], ["bytes", "crc32c"]):
        return f"packed with blosc before {', '.join(after)}: expected blosc last"
    return ""
