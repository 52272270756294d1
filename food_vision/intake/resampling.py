"""A part of a picture in another size, by Pillow's filters.

Where a picture is reduced to a half or less, as most photos are at first, cykooz-resizer does it with vector
instructions, if it is installed: in a sixth of the time that Pillow takes, which was more than half of decoding a photo
of 640 x 480. It is asked for rows and columns one after the other, in Pillow's order; both round to whole steps in
between, so that the pixels are Pillow's but for one step of 255 in one of thousands
(docs/decisions/016-resampling.md).
"""

import math
from typing import Final

from PIL import Image

from food_vision.preprocessing import Filter

try:  # on ARM under Linux there is none
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
    from cykooz_resizer.alpha import set_image_mode
except ImportError:
    IS_THERE = False
else:
    IS_THERE = True

Box = tuple[float, float, float, float]

_SAME_FILTERS: Final[dict[Filter, str]] = {"bilinear": "bilinear", "bicubic": "catmull_rom", "lanczos": "lanczos3"}
"""Those that both have, and the other's name for them; ``box`` rounds halves the other way when it enlarges."""
_REACH: Final = 3
"""Rows beyond the box that the widest of these filters looks at, times the reduction."""
_LEAST: Final = 2
"""Reductions of so much and more. The library's weights have 16 bits, Pillow's 22: the larger the weights, and so the
smaller the reduction, the more pixels are rounded the other way."""


def resized(image: Image.Image, size: tuple[int, int], name: Filter, box: Box) -> Image.Image:
    """Return a part of a picture in another size, or the picture itself where that is asked for.

    Args:
        image: ``L``, ``RGB`` or ``RGBX``; one of ``RGBX`` is ``RGB`` from then on.
        size: Width and height wanted, in pixels.
        name: The filter; its support grows with the reduction.
        box: Left, top, right and bottom of the part, within the picture.
    """
    if image.size == size and box == (0, 0, *size):
        return image
    left, top, right, bottom = box
    is_much = right - left >= _LEAST * size[0] and bottom - top >= _LEAST * size[1]
    if not (IS_THERE and is_much and name in _SAME_FILTERS):
        return image.resize(size, Image.Resampling[name.upper()], box)
    if image.mode == "RGBX":
        set_image_mode(image, "RGB")  # the same bytes, by the name that is known there
    if image.height - size[1] > 2 * (image.width - size[0]):
        # Where much more is taken from the columns Pillow, too, begins with them, as the library does by itself.
        return _pass(image, size, name, box)
    reach = _REACH * (bottom - top) / size[1]
    first, last = max(0, math.floor(top - reach)), min(image.height, math.ceil(bottom + reach))
    narrow = _pass(image, (size[0], last - first), name, (left, first, right, last))
    return _pass(narrow, size, name, (0, top - first, size[0], bottom - first))


def _pass(image: Image.Image, size: tuple[int, int], name: Filter, box: Box) -> Image.Image:
    left, top, right, bottom = box
    made = Image.new(image.mode, size)
    options = ResizeOptions(
        ResizeAlg.convolution(FilterType[_SAME_FILTERS[name]]),
        use_alpha=False,
        crop_box=CropBox(left, top, right - left, bottom - top),
    )
    # A new one each time: it keeps the memory of its largest picture, and is for one thread.
    Resizer().resize_pil(image, made, options)
    return made
