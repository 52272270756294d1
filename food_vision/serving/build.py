"""Builds the predictor from the settings, for the server and for the command line alike."""

from food_vision.intake.decode import PhotoLimits, prepare_pillow
from food_vision.model.engine import open_engine
from food_vision.model.own import open_bundle
from food_vision.processors import usable_processors
from food_vision.serving.metrics import Metrics
from food_vision.serving.predictor import Predictor
from food_vision.settings import Settings


def build_predictor(settings: Settings, metrics: Metrics | None = None) -> Predictor:
    """Return a predictor whose model is loaded and whose threads are ready.

    Raises:
        StartupError: when the model's files cannot be used.
    """
    bundle = open_bundle(settings.weights, settings.labels, settings.engine)
    limits = PhotoLimits(settings.max_pixels, settings.min_side, settings.max_aspect, settings.decode_bytes)
    prepare_pillow(limits)
    return Predictor(
        bundle,
        open_engine(bundle, settings),
        limits,
        decode_threads=settings.decode_threads or usable_processors(),
        max_batch=settings.max_batch,
        queue_limit=settings.queue_limit,
        crowded_limit=settings.crowded_limit,
        queue_bytes=settings.queue_bytes,
        explain_limit=settings.explain_limit,
        cache_bytes=settings.cache_bytes,
        metrics=metrics,
    )
