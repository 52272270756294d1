"""From the first checkpoint, forty minutes on two shared processor cores.

nice -n 15 python -m training.train cpu_forty_minutes
"""

from training.recipes import Phase, Recipe

RECIPE = Recipe(
    minutes=40,
    phases=(
        Phase(until=0.83, size=160, least_area=0.3, batch=64, mixed_share=0.4),
        Phase(until=1.0, size=224, least_area=0.7, batch=48, mixed_share=0.1, frozen_blocks=6),
    ),
    sharp_share=0.55,
    blur_share=0.5,
    rate=4e-4,
)
