"""How a photo becomes the model's input: a recipe that travels with the weights and that the decoder obeys.

Ground floor: the model's file carries it, ``intake.decode`` carries it out, and neither knows the other.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Fit = Literal["crop", "squash"]
Filter = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]


class Preprocessing(BaseModel):
    """The steps from an upright RGB photo to the model's square input.

    Attributes:
        size: Side of the square in pixels.
        fit: ``crop`` takes the centre square; ``squash`` keeps everything and lets the aspect go.
        filter: Pillow's resampling filter (antialiased: its support grows with the reduction).
        low_pass: Side in pixels to which the photo is first reduced, to take away detail finer than the training
            photos had; ``None`` for no such step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=224, ge=8, le=1024)
    fit: Fit = "crop"
    filter: Filter = "bicubic"
    low_pass: int | None = Field(default=None, ge=8, le=1024)
