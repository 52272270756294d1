"""Photo bytes → RGB pixels of the model's size: the only place where photos are decoded, in training and serving.

    bytes ─▶ read_container ─▶ size checked ─▶ Pillow, large JPEGs reduced ─▶ opaque, square, upright pixels

Colour: profiles are ignored and every photo is taken as sRGB. CMYK and YCCK become RGB by Pillow's plain formula; grey
becomes three equal channels; of 16 bits the upper 8 are kept; what is transparent shows white.
"""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from io import BytesIO
from typing import Final, NoReturn

import numpy as np
from numpy.typing import NDArray

# Named one by one: for a format that is not registered yet, Image.open would load every parser that Pillow has.
from PIL import GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin, _imaging

from food_vision.errors import PhotoTooSmall, Problem, TooManyPixels, UndecodablePhoto
from food_vision.intake import webp
from food_vision.intake.containers import Container, read_container
from food_vision.intake.formats import Format
from food_vision.intake.memory import LIGHT, MemoryBudget
from food_vision.intake.resampling import Box, resized
from food_vision.intake.webp_codes import codes_of
from food_vision.preprocessing import Preprocessing

_PARSERS: Final = (GifImagePlugin, JpegImagePlugin, PngImagePlugin, WebPImagePlugin)

REDUCED_SCALE_MARGIN: Final = 3
"""A JPEG decoded at reduced scale is still this many times larger than needed (``docs/decisions/004-decoding.md``)."""

STRIP: Final = 64
"""Rows that are converted at once."""
BLOCK_BYTES: Final = 1 << 18
BLOCKS_KEPT: Final = 16
"""Pillow takes memory in blocks of so many bytes, and keeps so many of them, 4 MB in all, for the next photo. They have
twice ``server.MMAP_THRESHOLD_BYTES``: no whole one is below that, and what is not kept goes back to the system."""


@dataclass(frozen=True, slots=True)
class PhotoLimits:
    """What is decoded at all.

    Attributes:
        max_pixels: Width times height, at most.
        min_side: Pixels on each side, at least.
        max_aspect: Longest side over shortest, at most.
        decode_bytes: Memory that decoding may take; a photo that would need more by itself is refused.
    """

    max_pixels: int = 50_000_000
    min_side: int = 8
    max_aspect: float = 20.0
    decode_bytes: int = 128_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """A decoded photo.

    Attributes:
        pixels: ``uint8[size, size, 3]``, RGB, read-only.
        width: Pixels per row of the original, upright.
        height: Rows of the original, upright.
        format: ``JPEG``, ``PNG``, ``WEBP`` or ``GIF``.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: Format


def decode(
    data: bytes, recipe: Preprocessing, limits: PhotoLimits = PhotoLimits(), budget: MemoryBudget | None = None
) -> Photo:
    """Decode the first picture of a JPEG, PNG, WebP or GIF file and bring it to the model's square.

    With a ``budget``, of ``limits.decode_bytes`` at least, the calling thread waits until the memory it needs is free.

    Raises:
        UnsupportedFormat: the content is of another format.
        UndecodablePhoto: it is empty, damaged or cut short.
        TooManyPixels: more than ``limits.max_pixels``, or than ``limits.decode_bytes`` are enough for, with all that it
            takes beside them; told from the header.
        PhotoTooSmall: a side below ``limits.min_side``, or an aspect above ``limits.max_aspect``; told from the header.
    """
    container = read_container(data)
    _check_size(container, limits)
    memory = _memory(container, recipe)
    if memory > limits.decode_bytes:
        _refuse_as_too_heavy(container, limits, memory)
    try:
        memory = min(memory + _beside_pixels(container, limits, memory), limits.decode_bytes)
        with budget.share(memory) if budget else nullcontext():
            pixels = render(container, recipe)
    except Problem:
        raise
    except Image.DecompressionBombError as error:
        raise TooManyPixels(internal=str(error)) from error
    except Exception as error:
        # Whatever a parser makes of a hostile file is the file's fault; Pillow's parsers raise a dozen kinds.
        raise UndecodablePhoto(internal=f"{container.format}: {type(error).__name__}: {error}") from error
    width, height = _upright_size(container)
    return Photo(pixels, width, height, container.format)


def prepare_pillow(limits: PhotoLimits) -> None:
    """Set Pillow's switches, at the start of the process: nowhere else are any set.

    Its own limit (89 million pixels) is lifted to ours. Without that a ``max_pixels`` above it has no effect; with a
    lower one nothing changes.

    And it keeps some memory: a photo of 640 x 480 pixels touched 550 pages that the system had to clear first, a tenth
    of the time that decoding takes.
    """
    Image.MAX_IMAGE_PIXELS = max(limits.max_pixels, Image.MAX_IMAGE_PIXELS or 0)
    _imaging.set_block_size(BLOCK_BYTES)
    _imaging.set_blocks_max(BLOCKS_KEPT)


def render(
    container: Container, recipe: Preprocessing, margin: float | None = REDUCED_SCALE_MARGIN
) -> NDArray[np.uint8]:
    """Return the recipe's ``uint8[size, size, 3]`` of a photo whose size was checked.

    ``margin`` None decodes JPEGs in full; it is there for the benchmark.
    """
    with Image.open(BytesIO(container.body), formats=(container.format,)) as image:
        if image.size != (container.width, container.height):
            raise UndecodablePhoto(internal=f"{container.format}: {image.size} in the decoder, not as in the header")
        is_still = container.format == "WEBP" and not container.is_animation
        picture = webp.decoded(container.body, image) if is_still and webp.IS_THERE else image
        scale = _reduce_while_decoding(image, recipe, margin)
        box = _stored_box(container, recipe)
        square = to_square(picture, _scaled(box, scale), recipe)
    square = _upright(square, container.orientation)
    return np.asarray(square if square.mode == "RGB" else square.convert("RGB"))  # it would copy what is RGB already


def _check_size(container: Container, limits: PhotoLimits) -> None:
    short, long = sorted(_upright_size(container))
    size = "{:,} x {:,} pixels".format(*_upright_size(container))
    if short * long > limits.max_pixels:
        raise TooManyPixels(f"The photo has {size}; at most {limits.max_pixels:,} in all are decoded.")
    if short < max(limits.min_side, 1):
        raise PhotoTooSmall(f"The photo has {size}; each side needs {limits.min_side} at least.")
    if long > limits.max_aspect * short:
        raise PhotoTooSmall(f"The photo has {size}; no side may be more than {limits.max_aspect:g} times the other.")


def _memory(container: Container, recipe: Preprocessing) -> int:
    """Return the bytes that rendering a photo takes."""
    in_file, picture = container.bytes_per_pixel.file, container.bytes_per_pixel.picture
    needed = _needed(recipe, REDUCED_SCALE_MARGIN)
    scale = _reduction(container.width, container.height, needed) if container.format == "JPEG" else 1
    return math.ceil(container.width * container.height * (in_file + picture / scale**2))


def _beside_pixels(container: Container, limits: PhotoLimits, memory: int) -> int:
    """Return what the decoder takes beside the pixels; what is not worth counting is no reason to refuse a photo."""
    if container.lossless is None:
        return 0
    codes = codes_of(container.lossless)
    if memory + codes.size > limits.decode_bytes + LIGHT:
        in_all, most = (math.ceil(size / 1_000_000) for size in (memory + codes.size, limits.decode_bytes))
        raise TooManyPixels(
            f"Decoding this WebP takes up to {in_all:,} MB, with {codes.groups:,} sets of codes in its lossless part; "
            f"at most {most:,} MB are taken. Saved anew, or as a JPEG, it takes less."
        )
    return codes.size


def _refuse_as_too_heavy(container: Container, limits: PhotoLimits, memory: int) -> NoReturn:
    size = "{:,} x {:,} pixels".format(*_upright_size(container))
    kind = container.bytes_per_pixel.kind
    most = container.width * container.height * limits.decode_bytes // memory
    unless = "" if kind == "baseline JPEG" else f", and {limits.max_pixels:,} as a baseline JPEG"
    raise TooManyPixels(f"The photo has {size}; of a {kind} like this at most {most:,} in all are decoded{unless}.")


def _upright_size(container: Container) -> tuple[int, int]:
    # From orientation 5 on the camera lay on its side.
    size = container.width, container.height
    return size if container.orientation < 5 else size[::-1]


def _reduce_while_decoding(image: Image.Image, recipe: Preprocessing, margin: float | None) -> float:
    """Make a JPEG's decoder give 1/2, 1/4 or 1/8 of the size where that is enough; return how much it was reduced."""
    if margin is None:
        return 1.0
    needed = _needed(recipe, margin)
    width = image.width
    drafted = image.draft(None, (needed, needed))
    return width / drafted[1][2] if drafted else 1.0


def _needed(recipe: Preprocessing, margin: float) -> int:
    return round(margin * (recipe.low_pass or recipe.size))


def _reduction(width: int, height: int, needed: int) -> int:
    """Return what ``_reduce_while_decoding`` will come to, told before the decoder is opened."""
    return next(scale for scale in (8, 4, 2, 1) if min(width, height) >= scale * needed or scale == 1)


def _stored_box(container: Container, recipe: Preprocessing) -> Box:
    """Return the part of the stored picture that the recipe takes.

    The centre square begins at ``(length - side) // 2`` in the upright photo; where the stored picture runs the other
    way, a half pixel is therefore rounded the other way.
    """
    width, height = container.width, container.height
    if recipe.fit == "squash":
        return 0, 0, width, height
    side = min(width, height)
    left = (width - side + (container.orientation in _X_REVERSED)) // 2
    top = (height - side + (container.orientation in _Y_REVERSED)) // 2
    return left, top, left + side, top + side


def _scaled(box: Box, scale: float) -> Box:
    left, top, right, bottom = box
    return left / scale, top / scale, right / scale, bottom / scale


def to_square(image: Image.Image, box: Box, recipe: Preprocessing) -> Image.Image:
    """Return a part of a picture as the model sees it, ``L``, ``RGB`` or ``RGBX``."""
    image, box = _opaque(image, box)
    if recipe.low_pass is not None:
        image = resized(image, _at_most(box, recipe.low_pass), recipe.filter, box)
        box = (0, 0, *image.size)
    return resized(image, (recipe.size, recipe.size), recipe.filter, box)


def _at_most(box: Box, side: int) -> tuple[int, int]:
    left, top, right, bottom = box
    return min(side, round(right - left)), min(side, round(bottom - top))


def _opaque(image: Image.Image, box: Box) -> tuple[Image.Image, Box]:
    """Return the picture as ``L``, ``RGB`` or ``RGBX`` and the box in it; transparency shows white.

    What has to be converted is converted strip by strip, and no more of it than the box: on the way from palettes and
    transparency there are up to three copies of 4 bytes a pixel.
    """
    image.load()
    if image.mode in ("L", "RGB", "RGBX") and not image.has_transparency_data:
        return image, box
    left, top, right, bottom = 0, 0, *image.size
    if image.format != "JPEG":  # its box may lie between pixels, and it is small by now
        left, top, right, bottom = (round(edge) for edge in box)
        box = (0, 0, right - left, bottom - top)
    canvas = Image.new("L" if image.mode in ("1", "I;16") else "RGB", (right - left, bottom - top))
    for start in range(top, bottom, STRIP):
        strip = image.crop((left, start, right, min(start + STRIP, bottom)))
        canvas.paste(_converted(strip), (0, start - top))
    return canvas, box


def _converted(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        return _on_white(image)
    if image.mode == "I;16":
        return _upper_8_of_16_bits(image)
    return image.convert("L" if image.mode == "1" else "RGB")


def _upper_8_of_16_bits(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips at 255, which makes nearly every 16-bit photo white.
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))


def _on_white(image: Image.Image) -> Image.Image:
    layer = image if image.mode in ("LA", "RGBA") else image.convert("RGBA")
    canvas = Image.new("RGB", layer.size, "white")
    canvas.paste(layer, mask=layer)
    return canvas


# What was done to the photo when it was stored is undone by:
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_X_REVERSED: Final = frozenset({2, 3, 7, 8})
_Y_REVERSED: Final = frozenset({3, 4, 6, 7})


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image
