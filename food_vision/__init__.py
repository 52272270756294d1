"""Food Vision: a photo, or a link to one, comes in; the dish goes out, with a calibrated score."""

__version__ = "0.1.0"
