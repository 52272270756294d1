"""From the first checkpoint, half an hour on two processor cores that others were using as well.

    nice -n 15 python -m training.train cpu_forty_minutes

Hardware: 2 vCPU AMD EPYC (AVX-512, bfloat16), load 3 to 9 beside it; 20 to 84 photos/s, 130 on an idle machine.
Expected: two points more on sharp photos and three on tiles, from 40 minutes at 80 photos/s.
Obtained: stopped after 27.2 minutes, 1,166 steps, 75,000 photos, where the first phase ends; ``served_size`` took the
place of the second, whose learning rate was too low to change anything. Until minute 12 the run had mixed_share 0.4,
dropout 0.2, averaging 0.998, least_area 0.3 and 40 minutes ahead of it; then the machine turned out too busy for that.
Held out at 224 pixels: sharp 67.4 % (the start: 71.0), tiles 60.0 % (60.4), far less sure of itself: it expects objects
as large as at 160.
"""

from training.recipes import Phase, Recipe

RECIPE = Recipe(
    minutes=33,
    phases=(
        Phase(until=0.82, size=160, least_area=0.35, batch=64, mixed_share=0.2),
        Phase(until=1.0, size=224, least_area=0.7, batch=48, frozen_blocks=8),
    ),
    sharp_share=0.55,
    dropout=0.1,
    averaging=0.99,
)
