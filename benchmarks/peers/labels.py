"""The names of the dishes, from the weights' own attribute; for the tutorial's way, which has none of our code."""

import json
from pathlib import Path

import h5py

WEIGHTS = Path(__file__).parents[2] / "food-vision-model.h5"
with h5py.File(WEIGHTS) as file:
    DISHES: list[str] = json.loads(file.attrs["food_vision"])["display_names"]
