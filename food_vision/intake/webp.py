"""Still WebP photos in a quarter to half of the memory that Pillow takes for them, in half of the time: same pixels.

Pillow decodes every WebP as an animation: two canvases, and two copies of what they show, 16 bytes a pixel in all. The
plain decoder of libwebp writes into the memory in which the picture stays. It is asked for in the library that Pillow
is linked with: there is one parser as before. Where it cannot be reached from outside, as where Pillow was built
with everything inside, stills are decoded by Pillow, and cost what animations do.
"""

import ctypes
import importlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from food_vision.errors import UndecodablePhoto


def _plain_decoder() -> Callable[..., int | None] | None:
    try:
        # By name: a Pillow built without WebP has no such module, and must not keep the other formats out.
        decoder = ctypes.CDLL(importlib.import_module("PIL._webp").__file__).WebPDecodeRGBAInto
    except (ImportError, OSError, AttributeError):
        return None
    # The file and its length; where the pixels go, how many bytes there are, and how many of them a row has.
    decoder.argtypes = (ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    decoder.restype = ctypes.c_void_p
    return decoder


_DECODER = _plain_decoder()
IS_THERE = _DECODER is not None


def decoded(file: bytes, image: Image.Image) -> Image.Image:
    """Return the pixels of a still that ``image`` has opened and not decoded: ``RGBX``, or ``RGBA`` where it has alpha.

    Raises:
        UndecodablePhoto: it is damaged, cut short, of another size than ``image``, or no still.
    """
    assert _DECODER is not None
    width, height = image.size
    pixels = np.zeros((height, width, 4), np.uint8)
    if not _DECODER(file, len(file), pixels.ctypes.data, pixels.nbytes, pixels.strides[0]):
        raise UndecodablePhoto(internal="WEBP: the plain decoder refuses it")
    mode = "RGBA" if image.has_transparency_data else "RGBX"
    return Image.frombuffer(mode, image.size, pixels, "raw", mode, 0, 1)
