"""What the server says to each photo of a set: decoder, recipe, engine and scorer are the server's own."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from food_vision.model.bundle import Bundle
from food_vision.model.engine import Engine
from food_vision.model.scores import Scorer, Scores
from food_vision.preprocessing import Preprocessing
from training.data import Sample
from training.inference import labels_of, run


class Answers(NamedTuple):
    """The answers to a set of photos.

    Attributes:
        labels: ``int64[N]``; -1 for a photo without food.
        chances: Calibrated, ``float64[N, classes]``, in the order of the outputs.
        before: The same before calibration.
        named: Whether a dish is in the prediction set, ``bool[N, classes]``; ``None`` where there are no such sets.
        food: Whether the photo is taken for food, ``bool[N]``; ``None`` where the model cannot tell.
        promised: The sets' promised coverage, 0..1; ``None`` where there are no such sets.
    """

    labels: NDArray[np.int64]
    chances: NDArray[np.float64]
    before: NDArray[np.float64]
    named: NDArray[np.bool_] | None
    food: NDArray[np.bool_] | None
    promised: float | None

    def of(self, chosen: NDArray[np.bool_]) -> "Answers":
        """Return the answers to the ``chosen`` photos, ``bool[N]``."""
        named, food = (None if part is None else part[chosen] for part in (self.named, self.food))
        return Answers(self.labels[chosen], self.chances[chosen], self.before[chosen], named, food, self.promised)


class Server:
    """The server without its network: asks the engine and scores what it gives."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle, self.engine = bundle, engine
        self._scorer, self._before = Scorer(bundle), Scorer(uncalibrated(bundle))
        self._places = {name: place for place, name in enumerate(bundle.display_names)}

    def answer(self, samples: Sequence[Sample], recipe: Preprocessing | None = None) -> Answers:
        """Answer photos, with another recipe than the model's own where one is given."""
        outputs = run(self.engine, recipe or self.bundle.preprocessing, samples)
        scores = [self._scorer.score(output) for output in outputs]
        return Answers(
            labels=labels_of(samples),
            chances=self._chances(scores),
            before=self._chances([self._before.score(output) for output in outputs]),
            named=self._named(scores),
            food=None if scores[0].food is None else np.array([score.food for score in scores], np.bool_),
            promised=scores[0].coverage,
        )

    def _chances(self, scores: Sequence[Scores]) -> NDArray[np.float64]:
        chances = np.empty((len(scores), len(self._places)))
        for row, score in zip(chances, scores, strict=True):
            for dish, chance in score.ranked:
                row[self._places[dish]] = chance
        return chances

    def _named(self, scores: Sequence[Scores]) -> NDArray[np.bool_] | None:
        if scores[0].prediction_set is None:
            return None
        named = np.zeros((len(scores), len(self._places)), np.bool_)
        for row, score in zip(named, scores, strict=True):
            row[[self._places[dish] for dish in score.prediction_set or ()]] = True
        return named


def uncalibrated(bundle: Bundle) -> Bundle:
    """Return the model as if its scores had not been calibrated: they are the softmax of its logits."""
    return dataclasses.replace(bundle, metadata=bundle.metadata.model_copy(update={"temperature": 1.0}))
