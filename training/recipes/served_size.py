"""Behind ``cpu_forty_minutes``: six minutes at the size that is served, so that objects are known at that size.

    nice -n 15 python -m training.train served_size --start runs/cpu_forty_minutes/last.npz
    python -m training.blend ../shared/model/efficientnet-lite0-food101.npz runs/served_size/last.npz runs/blend.npz

The start is the averaged weights where that run was stopped. The blend is what is served.

Hardware: 2 vCPU AMD EPYC (AVX-512, bfloat16), load 3 to 5 beside it; 36 to 78 photos/s. 350 steps, 16,800 photos.
Expected: the size's effect gone, as it was for the first checkpoint.
Obtained: negative log-likelihood at the best temperature on held-out sharp photos 1.157 and tiles 1.542 (the first
checkpoint: 1.158 and 1.564); half-way between both: 1.130 and 1.503. Test photos: docs/training.md.
"""

from training.recipes import Phase, Recipe

RECIPE = Recipe(
    minutes=6,
    phases=(Phase(until=1.0, size=224, least_area=0.7, batch=48, frozen_blocks=8),),
    sharp_share=0.55,
    blur_share=0.3,
    dropout=0.0,
    rate=2e-4,
    warm_up=0.05,
    averaging=0.97,
    seed=2,
)
