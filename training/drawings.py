"""Pictures of dishes, drawn: something to try training on where there are no photos, and free for anybody to show.

They are no photos, and nothing that is measured on them says anything of photos.
"""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIZE, FINER = 256, 2
"""Side of a picture in pixels, and how many times finer it is drawn."""
Random = np.random.Generator
Colour = tuple[int, int, int]
Place = tuple[float, float]
Draw = ImageDraw.ImageDraw

TABLES = ((120, 84, 56), (205, 196, 180), (70, 74, 82), (160, 60, 52), (92, 120, 104))
PLATES = ((245, 244, 240), (222, 226, 232), (60, 66, 78), (236, 222, 196))
ICINGS = ((92, 50, 30), (236, 150, 178), (250, 236, 214), (196, 142, 82))
PASTELS = ((236, 170, 190), (176, 208, 160), (238, 214, 140), (178, 160, 214), (200, 140, 100))
FILLINGS = ((240, 128, 90), (110, 170, 70), (236, 196, 60), (220, 70, 70))


def draw_dishes(folder: Path, count: int, seed: int = 1) -> Path:
    """Write ``count`` pictures of each dish as ``folder/DISH/NN.jpg`` and return ``folder``; as the seed has them."""
    for number, (dish, paint) in enumerate(DISHES.items()):
        (folder / dish).mkdir(parents=True, exist_ok=True)
        for picture in range(count):
            drawn = draw_dish(paint, np.random.default_rng((seed, number, picture)))
            drawn.save(folder / dish / f"{picture:02}.jpg", quality=88)
    return folder


def draw_dish(paint: Callable[[Draw, Place, float, Random], None], random: Random) -> Image.Image:
    """Return a picture of a plate on a table with something painted on it."""
    side = SIZE * FINER
    table = _varied(_one_of(TABLES, random), random)
    image = Image.new("RGB", (side, side), table)
    draw = ImageDraw.Draw(image)
    centre = (side / 2 + random.normal(0, side / 24), side / 2 + random.normal(0, side / 24))
    radius = side * random.uniform(0.24, 0.36)
    plate = _varied(_one_of(PLATES, random), random)
    _disc(draw, centre, radius * 1.3, plate)
    _disc(draw, centre, radius * 1.12, _shaded(plate, 0.95))
    paint(draw, centre, radius, random)
    image = image.rotate(random.uniform(-25, 25), fillcolor=table).resize((SIZE, SIZE), Image.Resampling.LANCZOS)
    return _lit(image.filter(ImageFilter.GaussianBlur(random.uniform(0.2, 1.2))), random)


def _bagels(draw: Draw, centre: Place, radius: float, random: Random) -> None:
    dough = _varied((188, 128, 66), random)
    _ring(draw, centre, radius, dough)
    for _ in range(random.integers(20, 60)):
        _disc(draw, _within(centre, radius * 0.95, random, least=0.45), radius * 0.035, (238, 224, 188))


def _donuts(draw: Draw, centre: Place, radius: float, random: Random) -> None:
    _ring(draw, centre, radius, _varied((206, 150, 84), random))
    _ring(draw, centre, radius * 0.92, _varied(_one_of(ICINGS, random), random))
    for _ in range(random.integers(0, 50)):
        x, y = _within(centre, radius * 0.82, random, least=0.5)
        turn, half = random.uniform(0, math.pi), radius * 0.06
        ends = (
            x - half * math.cos(turn),
            y - half * math.sin(turn),
            x + half * math.cos(turn),
            y + half * math.sin(turn),
        )
        draw.line(ends, fill=_one_of(FILLINGS + PASTELS, random), width=max(2, int(radius / 30)))


def _macarons(draw: Draw, centre: Place, radius: float, random: Random) -> None:
    for _ in range(random.integers(3, 7)):
        x, y = _within(centre, radius * 0.75, random)
        shell, wide, high = _varied(_one_of(PASTELS, random), random), radius * 0.34, radius * 0.17
        for lift, colour in ((high * 0.8, _shaded(shell, 0.88)), (0.0, (250, 244, 232)), (-high * 0.7, shell)):
            draw.ellipse((x - wide, y + lift - high, x + wide, y + lift + high), fill=colour)


def _pancakes(draw: Draw, centre: Place, radius: float, random: Random) -> None:
    x, y = centre
    layers = random.integers(2, 6)
    for layer in range(layers):
        middle = (x + random.normal(0, radius * 0.04), y + radius * (0.35 - 0.14 * layer))
        for lift, colour in ((radius * 0.07, (232, 190, 116)), (0.0, _varied((190, 124, 58), random))):
            wide, high = radius * 0.9, radius * 0.52
            box = (middle[0] - wide, middle[1] + lift - high, middle[0] + wide, middle[1] + lift + high)
            draw.ellipse(box, fill=colour)
    top = y + radius * (0.35 - 0.14 * layers)
    draw.rectangle((x - radius * 0.16, top, x + radius * 0.16, top + radius * 0.2), fill=(250, 226, 120))


def _pizza(draw: Draw, centre: Place, radius: float, random: Random) -> None:
    for share, colour in ((1.0, (206, 150, 84)), (0.88, (190, 60, 36)), (0.84, (240, 204, 110))):
        _disc(draw, centre, radius * share, _varied(colour, random))
    for colour, size, count in (((226, 120, 60), 0.14, 9), ((176, 40, 34), 0.13, 8), ((70, 120, 50), 0.06, 10)):
        for _ in range(random.integers(count // 3, count)):
            _disc(draw, _within(centre, radius * 0.72, random), radius * size, _varied(colour, random))


def _sushi(draw: Draw, centre: Place, radius: float, random: Random) -> None:
    for turn in np.arange(0, 2 * math.pi, 2 * math.pi / random.integers(4, 8)):
        middle = (centre[0] + radius * 0.62 * math.cos(turn), centre[1] + radius * 0.62 * math.sin(turn))
        for share, colour in ((0.3, (28, 40, 34)), (0.25, (246, 244, 238)), (0.12, _one_of(FILLINGS, random))):
            _disc(draw, middle, radius * share, colour)


DISHES: dict[str, Callable[[Draw, Place, float, Random], None]] = {
    "bagels": _bagels,
    "donuts": _donuts,
    "macarons": _macarons,
    "pancakes": _pancakes,
    "pizza": _pizza,
    "sushi": _sushi,
}
"""Bagels are none of the 101 dishes that the shipped weights know."""


def _ring(draw: Draw, centre: Place, radius: float, colour: Colour) -> None:
    draw.circle(centre, radius, outline=colour, width=int(radius * 0.62))
    draw.circle(centre, radius * 0.86, outline=_shaded(colour, 1.08), width=int(radius * 0.2))


def _disc(draw: Draw, centre: Place, radius: float, colour: Colour) -> None:
    draw.circle(centre, radius, fill=colour)


def _within(centre: Place, radius: float, random: Random, least: float = 0.0) -> Place:
    """Return a place in a disc, at ``least`` so many of its radii from the middle."""
    far, turn = radius * math.sqrt(random.uniform(least**2, 1)), random.uniform(0, 2 * math.pi)
    return centre[0] + far * math.cos(turn), centre[1] + far * math.sin(turn)


def _one_of(colours: tuple[Colour, ...], random: Random) -> Colour:
    return colours[random.integers(len(colours))]


def _varied(colour: Colour, random: Random) -> Colour:
    red, green, blue = np.clip(np.array(colour) * random.uniform(0.85, 1.12) + random.normal(0, 6, 3), 0, 255)
    return int(red), int(green), int(blue)


def _shaded(colour: Colour, factor: float) -> Colour:
    red, green, blue = (min(255, int(part * factor)) for part in colour)
    return red, green, blue


def _lit(image: Image.Image, random: Random) -> Image.Image:
    """Return the picture under light from one side, with a camera's noise."""
    down, right = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    turn = random.uniform(0, 2 * math.pi)
    light = 1 + 0.22 * (math.cos(turn) * right + math.sin(turn) * down)
    pixels = np.asarray(image, np.float64) * light[..., np.newaxis] + random.normal(0, 5, (SIZE, SIZE, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
