"""From weights 1.1.0, 72 minutes on two processor cores: small first, then larger.

    python -m training.blend ../shared/model/efficientnet-lite0-food101.npz runs/served_size/last.npz runs/1.1.0.npz
    python -m training.train two_core_hour --start runs/1.1.0.npz

``served_longer`` follows it.

Hardware: 2 vCPU AMD EPYC (AVX-512, bfloat16), busy with other work at lower priority: 140 photos/s at 128 pixels, 70 to
120 at 160. About 5,930 steps, 448,000 photos. ``minutes`` was 55 until minute 15 and 80 until minute 51.
Expected: a point and a half on tiles, a point on sharp photos, once the size is set right.
Obtained: held out at 224 pixels and the best temperature, sharp 68.4 % and NLL 1.073, tiles 61.0 % and 1.532, at a
temperature of 0.53: it expects objects as large as at 160.
"""

from training.recipes import Phase, Recipe

RECIPE = Recipe(
    minutes=72,
    phases=(
        Phase(until=0.35, size=128, least_area=0.35, batch=96, mixed_share=0.3),
        Phase(until=1.0, size=160, least_area=0.35, batch=64, mixed_share=0.3),
    ),
    sharp_share=0.45,
    colour=0.25,
    dropout=0.2,
    averaging=0.998,
    seed=3,
)
