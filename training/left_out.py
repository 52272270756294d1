"""Do small photos teach what sharp ones show? ``python -m training.left_out WEIGHTS``, an ``.npz`` or our ``.h5``.

For weights of the recipe ``left_out``, which saw no sharp photo of twelve classes: how often are these classes' sharp
test photos named right, and how often the same photos reduced to 64 pixels as the training tiles were (centre square,
Pillow's antialiased bicubic filter, JPEG of quality 75)? Answers stand among all 101 classes. Prints the rows of the
table in docs/training.md; three minutes.
"""

import argparse
import io
from pathlib import Path

from PIL import Image

from training.arrays import read_arrays
from training.classes import CLASSES
from training.data import TILE, Sample, require_photos, sharp
from training.inference import labels_of
from training.judge import logits_of
from training.metrics import class_mean, hits, top
from training.network import Network
from training.paired import paired_difference, percent, points
from training.recipes.left_out import FEW, MANY

QUALITY = 75
HEAD = """\
| classes | photos | sharp: top-1 %, mean over classes % | reduced to 64 pixels: both again | difference, points |
|---|---|---|---|---|"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    arguments = parser.parse_args()
    require_photos(arguments.data)
    network = Network(read_arrays(arguments.weights)).eval()
    photos = list(sharp(arguments.data, "test"))
    others = tuple(name for name in CLASSES if name not in MANY + FEW)
    groups = {
        "the twelve without sharp training photos": MANY + FEW,
        "six that have many": MANY,
        "six that have few": FEW,
        "the 89 others": others,
    }
    print(HEAD)
    for name, classes in groups.items():
        print(row(name, network, [photo for photo in photos if CLASSES[photo.label] in classes]), flush=True)


def row(name: str, network: Network, photos: list[Sample]) -> str:
    """Return the table's row of some sharp photos: how they fare, and how they do at 64 pixels."""
    labels = labels_of(photos)
    both = [logits_of(network, samples, exact=True) for samples in (photos, [as_tile(photo) for photo in photos])]
    shares = [f"{percent(top(logits, labels))}, {percent(class_mean(logits, labels))}" for logits in both]
    difference = paired_difference(hits(both[0], labels), hits(both[1], labels))
    return f"| {' | '.join([name, f'{len(photos):,}', *shares, points(difference)])} |"


def as_tile(photo: Sample) -> Sample:
    """Return a photo as the contact sheets have it: its centre square at 64 pixels, as a JPEG."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(photo.data)) as image:
        side = min(image.size)
        left, top_ = ((length - side) // 2 for length in image.size)
        box = (left, top_, left + side, top_ + side)
        image.convert("RGB").resize((TILE, TILE), Image.Resampling.BICUBIC, box).save(file, "JPEG", quality=QUALITY)
    return photo._replace(data=file.getvalue())


if __name__ == "__main__":
    main()
