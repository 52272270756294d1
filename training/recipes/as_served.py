"""Behind ``soup``: ten minutes with photos cut as the server cuts them, for the upper half of the network.

    python -m training.train as_served

Random crops show objects larger than the server does, which takes the whole centre square; trained last on what will be
asked, a network answers better (Touvron 2019, "Fixing the train-test resolution discrepancy").

Hardware: 2 vCPU AMD EPYC (AVX-512, bfloat16), partly busy with other work; 393 steps, 25,200 photos.
Expected: half a point on both kinds.
Obtained: held out, sharp 71.5 % and NLL 1.042, tiles 61.9 % and 1.478: no better than where it began
(docs/training.md).
"""

from training.recipes import Phase, Recipe

RECIPE = Recipe(
    minutes=10,
    phases=(Phase(until=1.0, size=224, least_area=0.8, batch=64, frozen_blocks=9),),
    start="runs/soup.npz",
    sharp_share=0.6,
    blur_share=0.3,
    colour=0.15,
    dropout=0.2,
    distil=0.4,
    teachers=("runs/soup.npz",),
    rate=2e-4,
    warm_up=0.05,
    averaging=0.99,
    seed=31,
)
