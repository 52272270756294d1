"""Short runs that differ from the first one in one thing each, so that the table says what that thing is worth.

    python -m training.compare

Each starts from the ImageNet weights and takes 200 steps at 128 pixels, 12,800 photos. The classifier is fresh: for the
first tenth everything but it and the head stands still, while the learning rate rises; then all blocks but the first
five learn. Photos are equal, not the time, so that rows can be compared whatever else the machine does; what a row
costs stands beside it.

Hardware: 2 vCPU Intel Xeon (AVX-512, bfloat16, AMX), busy with other work; ten rows, an hour.
Obtained: docs/training.md.
"""

from dataclasses import replace

from training.recipes import EVERY_BLOCK, IMAGENET, Phase, Recipe

WARM_UP = Phase(until=0.1, size=128, least_area=0.35, batch=64, frozen_blocks=EVERY_BLOCK)
MAIN = Phase(until=1.0, size=128, least_area=0.35, batch=64, mixed_share=0.3, frozen_blocks=5)
BASE = Recipe(
    steps=200,
    phases=(WARM_UP, MAIN),
    start=IMAGENET,
    sharp_share=0.5,
    blur_share=0.5,
    dropout=0.1,
    rate=6e-4,
    warm_up=0.1,
    averaging=0.99,
    seed=11,
)

ROWS = {
    "base": BASE,
    "lite2": replace(BASE, backbone="lite2"),
    "sharp-25": replace(BASE, sharp_share=0.25),
    "sharp-75": replace(BASE, sharp_share=0.75),
    "by-photo": replace(BASE, sharp_by_photo=True),
    "consistency": replace(BASE, consistency=0.5),
    "distil": replace(BASE, distil=0.5, teachers=("food-vision-model.h5",)),
    "mixup": replace(BASE, phases=(WARM_UP, replace(MAIN, mixed_share=0.0, mixup_share=0.3))),
    "no-mixing": replace(BASE, phases=(WARM_UP, replace(MAIN, mixed_share=0.0))),
    "no-blur": replace(BASE, blur_share=0.0),
}
"""Recipes by name; the first is what the others are compared with."""

SAID = {
    "base": "Lite0, half sharp, evenly by class, cut and paste in 0.3",
    "lite2": "Lite2",
    "sharp-25": "a quarter sharp",
    "sharp-75": "three quarters sharp",
    "by-photo": "sharp photos evenly by photo",
    "consistency": "consistency with the 64-pixel version, 0.5",
    "distil": "half of each label from weights 1.2.0",
    "mixup": "mixup in 0.3 in place of cut and paste",
    "no-mixing": "neither of them",
    "no-blur": "no sharp photo blurred",
}
"""What each differs in, for the table."""
