"""Other decoders of JPEG than Pillow, at full and at reduced scale: ``python -m benchmarks.decoders [--short]``.

    python -m benchmarks.decoders [--data ../shared/data] [--every 1]

Installs simplejpeg, OpenCV and pyvips into an environment of their own (under ``runs/benchmarks``) and runs there: the
decoders take turns on photos made here, each at the scale that is just enough, and what they give goes through our own
resizing. Then, where the test photos are, what changes: each is enlarged to a camera's size, stored as a JPEG and
decoded by everybody; pixels and the dish are compared with Pillow at full scale. Writes the tables to
docs/decisions/004-decoding.md. Ten minutes for all test photos; ``--short`` takes a minute and writes nothing.
"""

import argparse
import subprocess
from pathlib import Path

from benchmarks.harness.report import write_section
from benchmarks.harness.servers import ROOT
from benchmarks.peers.environments import environment, pinned

REQUIREMENTS = ("simplejpeg==1.9.0", "opencv-python-headless==5.0.0.93", "pyvips[binary]==3.2.0")
INSIDE = pinned("onnxruntime", "numpy", "pillow", "cykooz-resizer", "pydantic-settings")
SHORT = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="few repeats, every hundredth test photo")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--every", type=int, default=1, help="every n-th test photo")
    arguments = parser.parse_args()
    place = environment("decoders", (*REQUIREMENTS, *INSIDE))
    command = [str(place / "bin" / "python"), "-m", "benchmarks.decoder_worker", str(arguments.data)]
    command += [str(SHORT if arguments.short else arguments.every), "3" if arguments.short else "25"]
    tables = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    print(tables)
    if not arguments.short:
        write_section(ROOT / "docs" / "decisions" / "004-decoding.md", "decoders", tables)


if __name__ == "__main__":
    main()
