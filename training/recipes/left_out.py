"""Twelve classes without their sharp photos, from the ImageNet weights: do small photos teach what sharp ones show?

    python -m training.train left_out
    python -m training.left_out runs/left_out/last.npz

Of these classes nothing is learnt but the 64-pixel tiles. Six of them have many sharp training photos (190 to 350) and
six few (68 to 81), taken at even steps from the alphabet of those that are no class of ImageNet's. Two things keep the
network from learning that what is sharp is none of them: they do not compete for the sharp photos of the others, and
its answers to those must agree with the averaged network's answers to the same photos at 64 pixels.

Hardware: 2 vCPU AMD EPYC (AVX-512, bfloat16), nothing else running; 18 minutes.
Expected: sharp test photos of these classes named right at least as often as the same photos reduced to 64 pixels.
Obtained: docs/training.md.
"""

from training.recipes import EVERY_BLOCK, IMAGENET, Phase, Recipe

MANY = ("baklava", "beignets", "carrot_cake", "lasagna", "prime_rib", "tacos")
FEW = ("cheesecake", "croque_madame", "fried_calamari", "lobster_bisque", "peking_duck", "seaweed_salad")

RECIPE = Recipe(
    minutes=18,
    phases=(
        Phase(until=0.03, size=128, least_area=0.35, batch=64, frozen_blocks=EVERY_BLOCK),
        Phase(until=0.6, size=128, least_area=0.35, batch=64, mixed_share=0.3),
        Phase(until=1.0, size=160, least_area=0.35, batch=64, mixed_share=0.3),
    ),
    start=IMAGENET,
    sharp_share=0.45,
    blur_share=0.5,
    colour=0.25,
    dropout=0.1,
    consistency=0.5,
    rate=6e-4,
    warm_up=0.05,
    averaging=0.995,
    left_out=MANY + FEW,
    spare_left_out=True,
    seed=12,
)
