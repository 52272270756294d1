"""The full API: one photo or many in any form, ranked answers, what they rest on, and what the model is."""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import WithJsonSchema

from food_vision.api.bodies import Uploads
from food_vision.api.contract import EXAMPLE_LINK, PHOTO_PROBLEMS
from food_vision.api.examples import BATCH, EXPLAINED, PHOTO_BODY, PREDICTION, batch_body, shows
from food_vision.api.guards import refuse_compressed, refuse_other_options
from food_vision.api.negotiation import JSON, PNG, is_known, preferred
from food_vision.api.photos import Photos
from food_vision.api.responses import problem_responses
from food_vision.api.schemas import About, BatchAnswer, Labels, Options, Prediction, about, labels_of
from food_vision.api.waiting import while_wanted
from food_vision.errors import (
    DeadlineExceeded,
    InvalidParameter,
    MalformedBody,
    NotAcceptable,
    Overloaded,
    PhotoTooLarge,
    RequestTimeout,
    TooManyItems,
    UnsupportedFormat,
)
from food_vision.intake.fetch import Fetcher
from food_vision.intake.forms import Body, Forms, Item, Source
from food_vision.serving.predictor import Predictor
from food_vision.settings import Settings

T = TypeVar("T")

TOP_K = 5
GRACE = 1.0
"""Seconds that a batch's answer may take beyond the deadline of its photos."""
BODY_PROBLEMS = (MalformedBody, RequestTimeout, PhotoTooLarge, TooManyItems, UnsupportedFormat, InvalidParameter)
UPLOAD_PROBLEMS = (*BODY_PROBLEMS, *PHOTO_PROBLEMS)

Url = Annotated[
    str | None,
    Query(description="A link to the photo, instead of a body.", openapi_examples={"a pizza": {"value": EXAMPLE_LINK}}),
]
MinScore = Annotated[float, Query(ge=0, le=1, description="Least score of the dishes that are named.")]
Dish = Annotated[
    str | None, Query(description="Explain this dish instead of the likeliest; its name or its id.", examples=["pho"])
]
IfNoneMatch = Annotated[
    # A list: the header may stand on several lines.
    list[str],
    WithJsonSchema({"type": "string"}),
    Header(default_factory=list, description="The `ETag` of the labels that are known already."),
]


class Parts:
    """What the routes for photos work with.

    Attributes:
        photos: Answers for photos.
        top_k: The option, for a model of so many dishes; ``top_k_default`` where it is not given.
        max_items: Most photos of one batch.
    """

    def __init__(self, fetcher: Fetcher, predictor: Predictor, uploads: Uploads, settings: Settings) -> None:
        classes = len(predictor.bundle.display_names)
        self.photos = Photos(fetcher, predictor, settings.docs_url)
        self.top_k = Query(ge=1, le=classes, description="Most dishes that are named.")
        self.top_k_default = min(TOP_K, classes)
        self.max_items = settings.max_items
        self._forms = Forms(settings.max_photo_bytes, settings.max_items, settings.max_batch_bytes)
        self._uploads = uploads
        self._request_timeout = settings.request_timeout

    def photo_of(self, request: Request, url: str | None) -> AbstractAsyncContextManager[Source]:
        """Give the one photo of a request, or the link to it."""
        return self._reading(request, lambda body: self._forms.photo(body, url))

    def items_of(self, request: Request) -> AbstractAsyncContextManager[list[Item]]:
        """Give the photos of a batch."""
        return self._reading(request, self._forms.batch)

    def left(self, request: Request) -> float:
        """Return the seconds until the request has to be answered."""
        began: float = request.state.began
        return self._request_timeout - (asyncio.get_running_loop().time() - began)

    def _reading(self, request: Request, read: Callable[[Body], Awaitable[T]]) -> AbstractAsyncContextManager[T]:
        request.state.began = asyncio.get_running_loop().time()
        return self._uploads.reading(request, read)


def v1_routes(fetcher: Fetcher, predictor: Predictor, uploads: Uploads, settings: Settings) -> APIRouter:
    """Return the routes for photos, working with the given parts."""
    router = APIRouter(tags=["photos"], dependencies=[Depends(refuse_other_options), Depends(refuse_compressed)])
    parts = Parts(fetcher, predictor, uploads, settings)
    _add_predict(router, parts)
    _add_explain(router, parts)
    _add_batch(router, parts)
    return router


def _add_predict(router: APIRouter, parts: Parts) -> None:
    @router.post(
        "/v1/predict",
        operation_id="predict",
        summary="Tell the dish on a photo",
        openapi_extra=PHOTO_BODY,
        response_model_exclude_unset=True,
        responses={**shows(PREDICTION), **problem_responses(*UPLOAD_PROBLEMS)},
    )
    async def predict(
        request: Request,
        url: Url = None,
        top_k: Annotated[int, parts.top_k] = parts.top_k_default,
        min_score: MinScore = 0,
        explain: Annotated[bool, Query(description="Tell as well what the answer rests on.")] = False,
    ) -> Prediction:
        options = Options(top_k=top_k, min_score=min_score, explain=explain)
        async with parts.photo_of(request, url) as source:
            return await while_wanted(request, parts.photos.predict(source, options), parts.left(request))


def _add_explain(router: APIRouter, parts: Parts) -> None:
    @router.post(
        "/v1/explain",
        operation_id="explain",
        summary="Tell the dish on a photo, and which part of it the answer rests on",
        openapi_extra=PHOTO_BODY,
        response_model=Prediction,
        response_model_exclude_unset=True,
        responses=_with_png({**shows(EXPLAINED), **problem_responses(*UPLOAD_PROBLEMS, NotAcceptable)}),
    )
    async def explain(
        request: Request,
        response: Response,
        url: Url = None,
        dish: Dish = None,
        top_k: Annotated[int, parts.top_k] = parts.top_k_default,
        min_score: MinScore = 0,
    ) -> Prediction | Response:
        response.headers["Vary"] = "Accept"
        as_picture = preferred(request.headers.get("accept", ""), (JSON, PNG)) == PNG
        options = Options(top_k=top_k, min_score=min_score, explain=True)
        async with parts.photo_of(request, url) as source:
            if not as_picture:
                return await while_wanted(request, parts.photos.explain(source, dish, options), parts.left(request))
            picture = await while_wanted(request, parts.photos.draw(source, dish), parts.left(request))
        return Response(picture, media_type=PNG, headers={"Vary": "Accept"})


def _add_batch(router: APIRouter, parts: Parts) -> None:
    @router.post(
        "/v1/predict/batch",
        operation_id="predict_batch",
        summary="Tell the dishes on several photos",
        openapi_extra=batch_body(parts.max_items),
        response_model_exclude_unset=True,
        responses={**shows(BATCH), **problem_responses(*BODY_PROBLEMS, Overloaded, DeadlineExceeded)},
    )
    async def predict_batch(
        request: Request, top_k: Annotated[int, parts.top_k] = parts.top_k_default, min_score: MinScore = 0
    ) -> BatchAnswer:
        options = Options(top_k=top_k, min_score=min_score)
        async with parts.items_of(request) as items:
            work = parts.photos.batch(items, options, request.state.request_id, parts.left(request))
            return await while_wanted(request, work, parts.left(request) + GRACE)


def model_routes(predictor: Predictor) -> APIRouter:
    """Return the routes that tell what the model is; their answers never change while the process lives."""
    router = APIRouter(tags=["model"])
    labels, facts = labels_of(predictor.bundle), about(predictor.bundle, predictor.engine_name)
    etag = f'"{hashlib.sha256(labels.model_dump_json().encode()).hexdigest()[:32]}"'

    @router.head("/v1/labels", include_in_schema=False, response_model=Labels)
    @router.get(
        "/v1/labels",
        operation_id="labels",
        summary="Name the dishes that the model knows",
        response_model=Labels,
        responses={
            **shows(labels.model_copy(update={"labels": labels.labels[:2]}).model_dump(mode="json")),
            304: {"description": "The labels are those of `If-None-Match`."},
        },
    )
    async def name_labels(response: Response, if_none_match: IfNoneMatch) -> Labels | Response:
        if is_known(if_none_match, etag):
            return Response(status_code=304, headers={"ETag": etag})
        response.headers["ETag"] = etag
        return labels

    @router.head("/v1/model", include_in_schema=False)
    @router.get(
        "/v1/model",
        operation_id="model",
        summary="Tell what the model is, and how good",
        responses=shows(facts.model_dump(mode="json")),
    )
    async def tell_model() -> About:
        return facts

    return router


def _with_png(responses: dict[int | str, dict[str, Any]]) -> dict[int | str, dict[str, Any]]:
    responses[200]["content"][PNG] = {"schema": {"type": "string", "format": "binary"}}
    return responses
