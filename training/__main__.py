"""Train on photos of your own: ``python -m training --data DIR [--out my-model.h5]``.

DIR holds a folder per class, with at least five photos each; or is laid out as Food-101 is, or as train and test
folders (``training/folders.py``). Started again, it goes on where it was stopped. Then:

    FOOD_VISION_MODEL=my-model.h5 python main.py
"""

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from food_vision.errors import StartupError
from training.folders import DataError, read_folders

if TYPE_CHECKING:
    from training.retrain import Retrained


def main() -> None:
    """Train, or end with one sentence."""
    arguments = _parser().parse_args()
    try:
        _train(arguments)
    except (DataError, StartupError) as error:
        sys.exit(str(error))
    except ImportError as error:
        if error.name not in ("h5py", "keras", "onnx", "tensorflow", "tf2onnx"):
            raise
        sys.exit(f"Training needs TensorFlow and tf2onnx ({error.name} is missing): `pip install '.[keras]'`.")
    except KeyboardInterrupt:
        sys.exit("Stopped; the same command goes on from here.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the folder of class folders")
    parser.add_argument("--out", type=Path, default=Path("my-model.h5"), help="the Keras file to write (my-model.h5)")
    parser.add_argument("--epochs", type=_positive, default=20, help="of the new last layer (20)")
    parser.add_argument(
        "--fine-tune", type=int, default=0, metavar="EPOCHS", help="train the last blocks as well, so many epochs (0)"
    )
    parser.add_argument("--blocks", type=_positive, default=4, help="how many blocks these are (4)")
    parser.add_argument("--skip-bad", action="store_true", help="leave out files that are no photos, and list them")
    parser.add_argument("--start", type=Path, help="the Keras file to start from (the shipped one)")
    parser.add_argument("--run", type=Path, default=Path("runs"), metavar="DIR", help="where work is kept (runs)")
    parser.add_argument("--seed", type=int, default=1)
    return parser


def _train(arguments: argparse.Namespace) -> None:
    # Names first: nobody waits for TensorFlow to hear that a folder is empty.
    photos = read_folders(arguments.data)
    _require_out(arguments.out)
    kinds = ", ".join(f"{len(part):,} {what}" for part, what in zip(photos[1:], _KINDS, strict=True))
    print(f"{len(photos.classes)} classes; photos: {kinds}", flush=True)
    from food_vision.settings import Settings

    _hush_tensorflow()
    from training.retrain import Options, retrain

    options = Options(
        start=arguments.start or Settings.model_construct().weights,
        epochs=arguments.epochs,
        fine_tune=arguments.fine_tune,
        blocks=arguments.blocks,
        skip_bad=arguments.skip_bad,
        seed=arguments.seed,
    )
    _tell(retrain(photos, arguments.out, options, arguments.run))


def _hush_tensorflow() -> None:
    """Keep what it tells of processors and file formats from people who asked about photos; errors still come."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    logging.getLogger("absl").setLevel(logging.ERROR)


_KINDS = ("to learn from", "held out for choices", "to test on")


def _require_out(out: Path) -> None:
    if out.suffix != ".h5":
        raise DataError(f"{out} must end in .h5: that is what the server takes.")
    if not out.parent.is_dir():
        raise DataError(f"{out} cannot be written: there is no folder {out.parent}.")


def _tell(done: "Retrained") -> None:
    from food_vision.model.bundle import load_bundle

    for one in done.skipped:
        print(f"left out: {one}")
    metadata = load_bundle(done.weights).metadata
    for row in metadata.accuracy:
        interval = f"{100 * row.low:.1f} to {100 * row.high:.1f}"
        print(f"{row.photos}, {row.measure}: {100 * row.value:.1f} % ({interval}) of {row.count:,}")
    print(f"temperature {metadata.temperature:g}; calibration error {100 * metadata.calibration[0].error:.1f} %")
    if metadata.prediction_set is None:
        print("Too few photos are held out to promise prediction sets: answers will have none.")
    print(f"{done.weights} and {done.derived} are written. Serve them: FOOD_VISION_MODEL={done.weights} python main.py")


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


if __name__ == "__main__":
    main()
