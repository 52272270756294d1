"""Which way from a photo to the model's square is best: ``python -m benchmarks.resize [--weights FILE]``.

For any weights of ours, ``.npz`` or ``.h5``; no fast engine is needed, and so no calibration. Chooses on held-out
training photos (never trained on): the sharp ones cropped or squashed, with a low-pass or none, and sharp ones and
tiles at sizes around the served one. The negative log-likelihood, at each row's best temperature, is the more telling
figure on so few photos. ``--filters`` takes every filter through both tables as well; ``--test`` takes the last look
instead: a few recipes on the official test photos. Expected: docs/decisions/002-resize.md and docs/training.md; three
minutes, with filters eight, the last look ten.
"""

import argparse
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_args

from food_vision.preprocessing import Filter, Fit, Preprocessing
from training.arrays import read_arrays
from training.data import Sample, held_out, require_photos, sharp, tiles
from training.inference import labels_of
from training.judge import SERVED, least_nll, logits_of
from training.metrics import class_mean, top
from training.network import Network
from training.paired import percent

LOW_PASS = (None, 192, 160, 128, 96, 64)
SIZES = (160, 192, 208, 224, 240, 256)
FILTERS: tuple[Filter, ...] = ("nearest", "box", "bilinear", "bicubic", "lanczos")
LAST_LOOK = (
    Preprocessing(),
    SERVED,
    Preprocessing(fit="crop", filter="bicubic", low_pass=64),
    Preprocessing(fit="crop", filter="bilinear"),
    Preprocessing(fit="squash", filter="bicubic"),
    Preprocessing(fit="squash", filter="nearest"),
)
Recipes = Iterable[Preprocessing]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=Path("food-vision-model.h5"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--held-out", type=Path, default=Path("../shared/model/held-out.txt"))
    parser.add_argument("--filters", action="store_true", help="every filter, not only the served one")
    parser.add_argument("--test", action="store_true", help="the last look, on test photos")
    arguments = parser.parse_args()
    require_photos(arguments.data)
    network = Network(read_arrays(arguments.weights)).eval()
    if arguments.test:
        _print_table("sharp/test", network, LAST_LOOK, list(sharp(arguments.data, "test")))
        _print_table("every tenth of food64/test", network, LAST_LOOK, list(tiles(arguments.data, "test", every=10)))
        return
    sharp_ones, small_ones = held_out(arguments.data, arguments.held_out)
    filters = FILTERS if arguments.filters else (SERVED.filter,)
    sizes = [SERVED.model_copy(update={"size": size}) for size in SIZES]
    _print_table("held out, sharp: crop or squash, low-pass", network, grid(filters), sharp_ones)
    _print_table("held out, sharp: size", network, sizes, sharp_ones)
    _print_table("held out, tiles: size", network, sizes, small_ones)
    if arguments.filters:
        _print_table("held out, tiles: filter", network, [Preprocessing(filter=name) for name in FILTERS], small_ones)


def grid(filters: Sequence[Filter]) -> Iterator[Preprocessing]:
    """Yield every way to the square."""
    for fit, low_pass, name in itertools.product(get_args(Fit), LOW_PASS, filters):
        yield Preprocessing(fit=fit, filter=name, low_pass=low_pass)


def _print_table(title: str, network: Network, recipes: Recipes, samples: Sequence[Sample]) -> None:
    print(f"\n{title}: {len(samples):,} photos\n")
    print("| fit | filter | low-pass | size | top-1 % | mean over classes % | NLL |\n|---|---|---|---|---|---|---|")
    for recipe in recipes:
        logits, labels = logits_of(network, samples, recipe, exact=True), labels_of(samples)
        cells = [recipe.fit, recipe.filter, str(recipe.low_pass or "none"), str(recipe.size)]
        cells += [percent(top(logits, labels)), percent(class_mean(logits, labels)), f"{least_nll(logits, labels):.3f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
