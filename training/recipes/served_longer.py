"""Behind ``two_core_hour``: nine minutes at the size that is served.

    python -m training.train served_longer --start runs/two_core_hour/last.npz
    python -m training.blend runs/1.1.0.npz runs/served_longer/last.npz runs/1.2.0.npz

The blend is what is served.

Hardware: 2 vCPU AMD EPYC (AVX-512, bfloat16); 57 to 67 photos/s, 703 steps, 33,700 photos.
Expected: the size's effect gone.
Obtained: held out, sharp 71.5 % and NLL 1.038, tiles 62.5 % and 1.497; half-way from 1.1.0 to it 71.5 % and 1.048,
tiles 61.7 % and 1.475. Test photos: docs/training.md.
"""

from training.recipes import Phase, Recipe

RECIPE = Recipe(
    minutes=9,
    phases=(Phase(until=1.0, size=224, least_area=0.6, batch=48, mixed_share=0.1, frozen_blocks=6),),
    sharp_share=0.5,
    blur_share=0.4,
    dropout=0.1,
    rate=2e-4,
    warm_up=0.05,
    averaging=0.98,
    seed=4,
)
