"""The evaluation itself: every set of photos is answered once, and all figures come from these answers."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from food_vision.intake.decode import decode
from food_vision.model.bundle import Bundle
from food_vision.processors import usable_processors
from training.classes import CLASSES
from training.data import Sample, not_food, plain_ids, sharp, tiles
from training.evaluation import compare, measure
from training.evaluation.answers import Answers, Server
from training.evaluation.facts import Agreement, Model, Report, Row, Speed
from training.evaluation.speed import PHOTOS, ROUNDS, Entrant, race
from training.inference import open_model

SHARP, SMALL, REST = "sharp/test", "food64/test", "not-food/holdout"
SIDE = 64
"""Pixels on a side of the small photos: sharp ones reduced to it tell how much of an answer hangs on detail."""
REDUCED = f"{SHARP} reduced to {SIDE} pixels"
MANY = 180
"""Sharp training photos from which a class counts as one with many; the others have about 75."""
WITH_MANY = "classes with many"
PLAINER = "plainer photos"
COMPARED = 200
"""Photos of each of two sets that both engines look at."""


class Plan(NamedTuple):
    """What is evaluated, and how thoroughly.

    Attributes:
        weights: The Keras file.
        data: The folder of photos.
        machine: In words, for the milliseconds.
        sample: Photos of each set or a few more; ``None`` for all.
        other: The fast engine's file in another precision.
        rounds: How often each engine is asked for its milliseconds.
    """

    weights: Path
    data: Path
    machine: str
    sample: int | None = None
    other: compare.Other | None = None
    rounds: int = ROUNDS


class _Photos(NamedTuple):
    """The sets of photos."""

    sharp: list[Sample]
    small: list[Sample]
    rest: list[Sample]

    @classmethod
    def of(cls, data: Path, sample: int | None) -> "_Photos":
        sets = list(sharp(data, "test")), list(tiles(data, "test")), list(not_food(data, "holdout"))
        return cls(*(_thinned(photos, sample) for photos in sets))


def evaluate(plan: Plan, left_out: tuple[str, ...] = ()) -> Report:
    """Measure on the official test photos; ``left_out`` classes count as a group of their own."""
    server = Server(*open_model(plan.weights))
    photos, classes = _Photos.of(plan.data, plan.sample), server.bundle.metadata.classes
    answers = _answers(server, photos)
    groups = class_groups(plan.data, left_out)
    food = {name: answers[name] for name in (SHARP, REDUCED, SMALL)}
    sets = {SHARP: (photos.sharp, answers[SHARP]), SMALL: (photos.small, answers[SMALL])}
    are_plain = _are_plain(photos, plan.data)
    covered = [measure.coverage(name, one, classes) for name, one in food.items()]
    return Report(
        model=_model(server),
        machine=plan.machine,
        rows=tuple(_rows(food, groups, are_plain)),
        gaps=measure.gaps(food | _alike(food, are_plain, groups[WITH_MANY]), groups[WITH_MANY], SHARP, SMALL),
        reliability=tuple(measure.reliability_of(name, one) for name, one in food.items()),
        nine_in_ten=measure.nine_in_ten(answers[SHARP]),
        coverage=tuple(one for one in covered if one),
        not_food=measure.not_food(server.bundle, {name: one for name, (_, one) in sets.items()}, {REST: answers[REST]}),
        dishes=tuple(measure.dishes(name, one, classes) for name, (_, one) in sets.items()),
        tutorial=compare.tutorial(plan.weights, photos.sharp, answers[SHARP]),
        agreement=_agreement(server, photos),
        precision=compare.precision(server, plan.other, sets) if plan.other else None,
        speed=tuple(_speed(plan, server.bundle, photos.sharp)),
    )


def class_groups(data: Path, left_out: tuple[str, ...] = ()) -> dict[str, NDArray[np.int64]]:
    """Return groups of classes by their sharp training photos; those ``left_out`` of training are a group apart."""
    counts = np.array([len(list((data / "sharp" / "train" / name).glob("*.webp"))) for name in CLASSES])
    apart = np.isin(CLASSES, left_out)
    chosen = {
        "classes with few sharp training photos": (counts > 0) & (counts < MANY) & ~apart,
        WITH_MANY: (counts >= MANY) & ~apart,
        "classes without sharp training photos": (counts == 0) & ~apart,
        "classes left out of training": apart,
    }
    return {name: np.flatnonzero(inside) for name, inside in chosen.items()}


def _answers(server: Server, photos: _Photos) -> dict[str, Answers]:
    reduced = server.bundle.preprocessing.model_copy(update={"low_pass": SIDE})
    asked = {SHARP: photos.sharp, REDUCED: photos.sharp, SMALL: photos.small, REST: photos.rest}
    found = {}
    for name, samples in asked.items():
        _say(f"{name}: {len(samples):,} photos")
        found[name] = server.answer(samples, reduced if name == REDUCED else None)
    return found


def _rows(
    food: Mapping[str, Answers], groups: Mapping[str, NDArray[np.int64]], are_plain: NDArray[np.bool_]
) -> Iterable[Row]:
    for name, answers in food.items():
        yield from measure.rows_by_group(name, answers, groups)
    for name, chosen in ((PLAINER, are_plain), ("the others", ~are_plain)):
        if chosen.any():
            yield measure.row(f"{SHARP}, {name}", food[SHARP].of(chosen))


def _alike(food: Mapping[str, Answers], are_plain: NDArray[np.bool_], many: NDArray[np.int64]) -> dict[str, Answers]:
    """Return the plainer photos of the sharp sets: classes with few have hardly any others, so that these compare."""
    with_many = np.isin(food[SHARP].labels[are_plain], many)
    if with_many.all() or not with_many.any():
        return {}
    return {f"{name}, {PLAINER}": food[name].of(are_plain) for name in (SHARP, REDUCED)}


def _model(server: Server) -> Model:
    bundle = server.bundle
    return Model(
        name=bundle.name,
        version=bundle.version,
        sha256=bundle.sha256,
        engine=server.engine.name,
        preprocessing=bundle.preprocessing,
        origin=bundle.metadata.origin,
        training_data=bundle.metadata.training_data,
        licence=bundle.metadata.licence,
    )


def _agreement(server: Server, photos: _Photos) -> Agreement:
    both = _thinned(photos.sharp, COMPARED) + _thinned(photos.small, COMPARED)
    _say(f"Keras against the fast engine: {len(both):,} photos")
    keras = compare.open_server(server.bundle, "keras")
    engines = keras.engine.name, server.engine.name
    return compare.agreement(f"{SHARP} and {SMALL}", keras.answer(both), server.answer(both), engines)


def _speed(plan: Plan, bundle: Bundle, samples: list[Sample]) -> list[Speed]:
    pixels = np.stack([decode(one.data, bundle.preprocessing).pixels for one in _thinned(samples, PHOTOS)[:PHOTOS]])
    threads = sorted({1, usable_processors()})
    entrants = [Entrant("fast", count) for count in threads]
    entrants += [Entrant("fast", count, plan.other) for count in threads if plan.other]
    entrants += [Entrant("keras", count) for count in threads]
    _say(f"milliseconds: {len(entrants)} engines and threads, {plan.rounds} rounds")
    return race(plan.weights, entrants, pixels, plan.rounds)


def _are_plain(photos: _Photos, data: Path) -> NDArray[np.bool_]:
    known = plain_ids(data)
    return np.array([sample.id in known for sample in photos.sharp])


def _say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


def _thinned(samples: list[Sample], wanted: int | None) -> list[Sample]:
    """Return ``wanted`` of the photos or a few more, evenly over all of them."""
    return samples[:: max(1, len(samples) // wanted)] if wanted else samples
