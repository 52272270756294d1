"""The tutorial's prediction, to the letter: people have scripts against it. Its ``/`` is in ``page.py``."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from food_vision.api.responses import problem_responses
from food_vision.api.waiting import while_wanted
from food_vision.errors import (
    AddressNotAllowed,
    DeadlineExceeded,
    InvalidUrl,
    Overloaded,
    PhotoTooLarge,
    PhotoTooSmall,
    SourceFailed,
    SourceTimeout,
    TooManyPixels,
    UndecodablePhoto,
    UnsupportedFormat,
)
from food_vision.intake.fetch import Fetcher
from food_vision.serving.predictor import Answer, Predictor

EXAMPLE_LINK = "https://upload.wikimedia.org/wikipedia/commons/a/a3/Eq_it-na_pizza-margherita_sep2005_sml.jpg"
NOT_FOOD_HEADER = "Food-Vision-Not-Food"
PHOTO_PROBLEMS = (
    AddressNotAllowed,
    InvalidUrl,
    UndecodablePhoto,
    TooManyPixels,
    PhotoTooSmall,
    SourceFailed,
    Overloaded,
    SourceTimeout,
    DeadlineExceeded,
)
"""What can be wrong with a photo or its link, whatever the route."""
NO_LINK = "No image link provided"
WELCOME = "Welcome to the Food Vision API!"


class Message(BaseModel):
    """A sentence."""

    message: str


class ModelPrediction(BaseModel):
    """The dish on a photo."""

    dish: str = Field(serialization_alias="model-prediction", examples=["pizza"])
    score: float = Field(
        serialization_alias="model-prediction-confidence-score",
        ge=0,
        le=100,
        description="Calibrated probability of the dish, in percent.",
        examples=[93.41],
    )


PREDICTION_EXAMPLES = {
    "a photo of food": {"value": {"model-prediction": "pizza", "model-prediction-confidence-score": 93.41}},
    "no link": {"value": {"message": NO_LINK}},
}

ImageLink = Annotated[
    str | None,
    Query(
        description="An absolute http or https URL of a JPEG, PNG, WebP or GIF photo, percent-encoded.",
        openapi_examples={"a pizza": {"value": EXAMPLE_LINK}, "no link": {"value": ""}},
    ),
]


def contract_routes(fetcher: Fetcher, predictor: Predictor, request_timeout: float) -> APIRouter:
    """Return the contract's prediction, working with the given parts."""
    router = APIRouter(tags=["contract"])

    async def answer_for(link: str) -> Answer:
        return await predictor.predict(await fetcher.fetch(link))

    @router.post("/net/image/prediction", include_in_schema=False)
    @router.post(
        "/net/image/prediction/",
        operation_id="predict_image_link",
        summary="Tell the dish on the photo behind a link",
        responses={
            200: {"content": {"application/json": {"examples": PREDICTION_EXAMPLES}}},
            **problem_responses(PhotoTooLarge, UnsupportedFormat, *PHOTO_PROBLEMS),
        },
    )
    async def predict_image_link(
        request: Request, response: Response, image_link: ImageLink = None
    ) -> ModelPrediction | Message:
        if not image_link:
            return Message(message=NO_LINK)
        answer = await while_wanted(request, answer_for(image_link), request_timeout)
        best = answer.scores.ranked[0]
        if answer.scores.food is False:
            response.headers[NOT_FOOD_HEADER] = "true"
        return ModelPrediction(dish=best.dish, score=round(100 * best.score, 2))

    return router
