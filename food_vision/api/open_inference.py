"""The Open Inference Protocol, version 2: what clients of KServe, Triton and MLServer speak.

Encoded photos go the way of all photos; pixels enter where decoded photos wait for the model. Failures have that
protocol's shape, ``{"error": "…"}`` (``api/problems.py``); ``docs/open-inference.md`` shows it with a real client.
"""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response, params

from food_vision import __version__
from food_vision.api.bodies import Uploads
from food_vision.api.examples import shows
from food_vision.api.inference_bodies import (
    JSON_LENGTH_HEADER,
    Inference,
    read_inference,
    write_answer,
)
from food_vision.api.open_inference_schemas import (
    INFER,
    Docs,
    Live,
    ModelMetadata,
    ModelReady,
    Ready,
    Server,
    TensorKind,
    error_answers,
)
from food_vision.api.tensors import PHOTOS, PIXELS, SCORES, Item, Limits
from food_vision.api.waiting import while_wanted
from food_vision.errors import (
    CallerProblem,
    MalformedBody,
    NotFound,
    NotReady,
    PhotoTooLarge,
)
from food_vision.intake.forms import Body, read_whole
from food_vision.model.bundle import Bundle
from food_vision.model.scores import Scores
from food_vision.serving.predictor import Predictor
from food_vision.serving.readiness import Readiness
from food_vision.settings import Settings

Guard = list[params.Depends]
MODEL = "/v2/models/{name}"
VERSION = MODEL + "/versions/{version}"
EXTENSIONS = ["binary_tensor_data", "classification"]


def open_inference_routes(
    predictor: Predictor, readiness: Readiness, uploads: Uploads, settings: Settings
) -> APIRouter:
    """Return the protocol's routes, working with the given parts."""
    router = APIRouter(tags=["Open Inference Protocol"])
    router.include_router(_server_routes(readiness))
    router.include_router(_model_routes(predictor, readiness, uploads, settings))
    return router


def _server_routes(readiness: Readiness) -> APIRouter:
    router = APIRouter()
    facts = Server(name="food-vision", version=__version__, extensions=EXTENSIONS)

    @router.get("/v2/", include_in_schema=False)
    @router.get("/v2", operation_id="oip_server", summary="What is the server?", responses=shows(facts.model_dump()))
    async def server() -> Server:
        return facts

    @router.get(
        "/v2/health/live",
        operation_id="oip_live",
        summary="Does the process serve?",
        responses=shows({"live": True}),
    )
    async def live() -> Live:
        return Live(live=True)

    @router.get(
        "/v2/health/ready",
        operation_id="oip_ready",
        summary="Do the models answer?",
        responses={**shows({"ready": True}), **error_answers(NotReady)},
    )
    async def ready() -> Ready:
        await readiness.check()
        return Ready(ready=True)

    return router


def _model_routes(predictor: Predictor, readiness: Readiness, uploads: Uploads, settings: Settings) -> APIRouter:
    router = APIRouter()
    bundle = predictor.bundle
    limits = Limits(bundle.preprocessing.size, len(bundle.display_names), settings.max_items, settings.max_photo_bytes)
    of_model, of_version = _known(bundle)
    # One body after the other: parsing makes them larger in memory, and several at once would not end sooner.
    parsing = asyncio.Lock()

    facts = model_metadata(bundle)
    about = Docs(
        summary="What does the model take and give?",
        responses={**shows(facts.model_dump()), **error_answers(NotFound)},
    )

    @router.get(VERSION, operation_id="oip_version", dependencies=of_version, **about)
    @router.get(MODEL, operation_id="oip_model", dependencies=of_model, **about)
    async def metadata() -> ModelMetadata:
        return facts

    is_ready = ModelReady(name=bundle.name, ready=True)
    answering = Docs(
        summary="Does the model answer?",
        responses={**shows(is_ready.model_dump()), **error_answers(NotFound, NotReady)},
    )

    @router.get(f"{VERSION}/ready", operation_id="oip_version_ready", dependencies=of_version, **answering)
    @router.get(f"{MODEL}/ready", operation_id="oip_model_ready", dependencies=of_model, **answering)
    async def model_ready() -> ModelReady:
        await readiness.check()
        return is_ready

    @router.post(f"{VERSION}/infer", operation_id="oip_version_infer", dependencies=of_version, **INFER)
    @router.post(f"{MODEL}/infer", operation_id="oip_infer", dependencies=of_model, **INFER)
    async def infer(request: Request) -> Response:
        if request.headers.get("content-encoding", "identity") != "identity":
            raise MalformedBody("Content-Encoding: compressed bodies are not taken; send the body as it is.")
        json_lengths = request.headers.getlist(JSON_LENGTH_HEADER)
        json_length = ", ".join(json_lengths) if json_lengths else None

        async def read(body: Body) -> Inference:
            whole = await read_whole(body, settings.max_batch_bytes, _too_large)
            async with parsing:
                # In a thread: tensors are large, and the loop waits for the network only.
                return await asyncio.to_thread(read_inference, whole, json_length, limits)

        async with uploads.reading(request, read) as inference:
            work = score_all(predictor, inference.items, predictor.admission.at_once(settings.max_batch))
            scores = await while_wanted(request, work, settings.request_timeout)
        return write_answer(bundle, inference, scores)

    return router


def _too_large() -> PhotoTooLarge:
    return PhotoTooLarge("The body has more bytes than are taken at once; send fewer photos, or smaller ones.")


def _known(bundle: Bundle) -> tuple[Guard, Guard]:
    """Return what refuses other models than the one there is, and other versions of it."""
    name_in_path = Annotated[str, Path(examples=[bundle.name])]
    version_in_path = Annotated[str, Path(examples=[bundle.version])]

    def known_model(name: name_in_path) -> None:
        if name != bundle.name:
            raise NotFound(f"The only model here is {bundle.name}.")

    def known_version(name: name_in_path, version: version_in_path) -> None:
        known_model(name)
        if version != bundle.version:
            raise NotFound(f"The only version of {bundle.name} here is {bundle.version}.")

    return [Depends(known_model)], [Depends(known_version)]


def model_metadata(bundle: Bundle) -> ModelMetadata:
    """Return the protocol's description of a model."""
    size = bundle.preprocessing.size
    return ModelMetadata(
        name=bundle.name,
        versions=[bundle.version],
        platform="keras",
        inputs=[
            TensorKind(name=PHOTOS, datatype="BYTES", shape=[-1]),
            TensorKind(name=PIXELS, datatype="UINT8", shape=[-1, size, size, 3]),
        ],
        outputs=[TensorKind(name=SCORES, datatype="FP32", shape=[-1, len(bundle.display_names)])],
    )


async def score_all(predictor: Predictor, items: Sequence[Item], at_once: int) -> list[Scores]:
    """Return the scores of photos, in order; the first that fails ends the rest.

    Raises:
        Problem: what was wrong with a photo, its number named.
    """
    slots = asyncio.Semaphore(at_once)

    async def score(index: int, item: Item) -> Scores:
        async with slots:
            try:
                return await _score(predictor, item)
            except CallerProblem as problem:
                problem.detail = f"{PHOTOS}, element {index}: {problem.detail}"
                raise

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(score(index, item)) for index, item in enumerate(items)]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def _score(predictor: Predictor, item: Item) -> Scores:
    if isinstance(item, bytes):
        return (await predictor.predict(item)).scores
    return await predictor.predict_pixels(item)
