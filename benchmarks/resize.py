"""Which way from a photo to the model's square is best: ``python -m benchmarks.resize [--data DIR] [--held-out FILE]``.

Chooses on held-out training photos (never trained on): the sharp ones through the whole grid, and all of them as
64-pixel tiles, where only the filter matters: they are square, and no low-pass of 64 pixels or more touches them. The
negative log-likelihood is the more telling figure on so few photos. With ``--test`` it takes the last look instead: a
few recipes on the official test photos. Expected: docs/decisions/002-resize.md; two minutes each.
"""

import argparse
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

from food_vision.model.engine import Engine
from food_vision.preprocessing import Filter, Fit, Preprocessing
from training.data import Sample, held_out, require_photos, sharp, tiles
from training.inference import labels_of, open_model, run
from training.metrics import class_mean, nll, top

LOW_PASS = (None, 160, 128, 96, 64)
FILTERS: tuple[Filter, ...] = ("nearest", "box", "bilinear", "bicubic", "lanczos")
LAST_LOOK = (
    Preprocessing(),
    Preprocessing(fit="crop", filter="bicubic", low_pass=160),
    Preprocessing(fit="crop", filter="bicubic", low_pass=64),
    Preprocessing(fit="crop", filter="bilinear"),
    Preprocessing(fit="squash", filter="bicubic"),
    Preprocessing(fit="squash", filter="nearest"),
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("food-vision-model.h5"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=Path, default=Path("../shared/model/held-out.txt"))
    parser.add_argument("--test", action="store_true", help="the last look, on test photos")
    arguments = parser.parse_args()
    require_photos(arguments.data)
    _, engine = open_model(arguments.weights)
    if arguments.test:
        _print_table("sharp/test", engine, LAST_LOOK, list(sharp(arguments.data, "test")))
        _print_table("every tenth of food64/test", engine, LAST_LOOK, list(tiles(arguments.data, "test", every=10)))
    else:
        sharp_ones, small_ones = held_out(arguments.data, arguments.held_out)
        _print_table("held out, sharp", engine, _grid(), sharp_ones)
        _print_table("held out, tiles", engine, [Preprocessing(filter=name) for name in FILTERS], small_ones)


def _grid() -> Iterator[Preprocessing]:
    for fit, low_pass, name in itertools.product(get_args(Fit), LOW_PASS, FILTERS):
        yield Preprocessing(fit=fit, filter=name, low_pass=low_pass)


def _print_table(title: str, engine: Engine, recipes: Iterable[Preprocessing], samples: Sequence[Sample]) -> None:
    print(f"\n{title}: {len(samples):,} photos\n")
    print("| fit | filter | low-pass | top-1 | mean over classes | NLL |\n|---|---|---|---|---|---|")
    for recipe in recipes:
        logits, labels = run(engine, recipe, samples), labels_of(samples)
        shares = (f"{100 * share.value:.1f}" for share in (top(logits, labels), class_mean(logits, labels)))
        cells = [recipe.fit, recipe.filter, str(recipe.low_pass or "none"), *shares, f"{nll(logits, labels):.3f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
