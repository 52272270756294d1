"""How a camera was held: tag 0x0112 of the first directory of its EXIF block, which is a TIFF file."""

import struct
from typing import Final

_ORIENTATION_TAG, _SHORT = 0x0112, 3
_MAX_EXIF_ENTRIES: Final = 500


def read_orientation(exif: bytes) -> int:
    """Return 1 to 8 as in EXIF; 1 where there is none.

    A damaged directory has none either: no photo is refused for its metadata.

    Args:
        exif: A TIFF file, without what JPEG and WebP write before it.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, directory)
        for entry in range(min(entries, _MAX_EXIF_ENTRIES)):
            tag, kind, value = struct.unpack_from(order + "HH4xH", exif, directory + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return value if kind == _SHORT and 1 <= value <= 8 else 1
    except struct.error:
        return 1
    return 1
