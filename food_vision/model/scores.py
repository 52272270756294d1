"""Logits → calibrated probabilities, ranked; the set that holds the true dish; whether there is food at all."""

from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from food_vision.errors import InternalError
from food_vision.model.bundle import Bundle, Logistic, LogitScore, NotFood, PredictionSet

Floats = NDArray[np.floating]


class Ranked(NamedTuple):
    """A dish and its calibrated probability, 0..1."""

    dish: str
    score: float


_AS_RANKED = partial(tuple.__new__, Ranked)


@dataclass(frozen=True, slots=True)
class Scores:
    """What the network makes of one photo.

    Attributes:
        ranked: All dishes, the likeliest first; equals in the order of the outputs.
        prediction_set: The dishes that have to be named so that the true one is among them in ``coverage`` of cases,
            the likeliest first; ``None`` where nothing was fitted.
        coverage: As promised, 0..1; ``None`` as above.
        food: Whether the photo shows food; ``None`` where the model cannot tell.
        food_score: The chance of food, 0..1, where half of all photos show some; ``None`` where that was not fitted.
    """

    ranked: tuple[Ranked, ...]
    prediction_set: tuple[str, ...] | None
    coverage: float | None
    food: bool | None
    food_score: float | None


class Scorer:
    """Reads what an engine puts out with a model's labels and constants."""

    def __init__(self, bundle: Bundle) -> None:
        self._names = bundle.display_names
        self._outputs = bundle.metadata.outputs
        self._temperature = bundle.metadata.temperature
        self._not_food: NotFood | None = bundle.metadata.not_food
        self._set: PredictionSet | None = bundle.metadata.prediction_set

    def score(self, outputs: Floats) -> Scores:
        """Return the scores of what the engine put out for one photo, ``float[outputs]``.

        Raises:
            InternalError: when one is no finite number: such an answer would be nonsense dressed as a number.
        """
        if outputs.shape != (self._outputs,) or not np.isfinite(outputs).all():
            raise InternalError(
                internal=f"the engine gave outputs {outputs.shape} that are not {self._outputs} numbers"
            )
        chances = probabilities(self.logits(outputs), self._temperature)
        order = (-chances).argsort(kind="stable")
        # As lists: one by one, numbers come out of an array several times as slowly. And as tuples: calling ``Ranked``
        # a hundred times takes as long as all the rest here.
        pairs = zip(map(self._names.__getitem__, order.tolist()), chances[order].tolist(), strict=True)
        ranked = tuple(map(_AS_RANKED, pairs))
        return Scores(ranked, *self._prediction_set(ranked), *self._food(outputs))

    def logits(self, outputs: Floats) -> Floats:
        """Return the dishes' logits among outputs, ``float[..., outputs]``."""
        return outputs[..., : len(self._names)]

    def _prediction_set(self, ranked: tuple[Ranked, ...]) -> tuple[tuple[str, ...] | None, float | None]:
        if self._set is None:
            return None, None
        threshold = self._set.threshold
        named = takewhile(lambda dish: dish.score >= threshold, ranked)
        return tuple(dish for dish, _ in named), self._set.coverage

    def _food(self, outputs: Floats) -> tuple[bool | None, float | None]:
        if self._not_food is None:
            return None, None
        score, chance = self._food_score(outputs, self._not_food), self._not_food.chance
        return score >= self._not_food.threshold, None if chance is None else float(chance_of_food(score, chance))

    def _food_score(self, outputs: Floats, rule: NotFood) -> float:
        if rule.score == "probe":
            return float(outputs[-1])
        return float(food_scores(self.logits(outputs), rule.score, self._temperature))


def probabilities(logits: Floats, temperature: float) -> NDArray[np.float64]:
    """Return softmax(logits / temperature) over the last axis, in double precision."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def food_scores(logits: Floats, name: LogitScore, temperature: float) -> NDArray[np.float64]:
    """Return a score over the last axis that is high for food; logits are taken as they are, not divided.

    Centred scores take the logits' mean away first: probabilities do not depend on it, so that training leaves it free,
    and what it happens to be says nothing of food.
    """
    if name == "max_probability":
        return np.asarray(probabilities(logits, temperature).max(axis=-1))
    exact = logits.astype(np.float64)
    if name.startswith("centred"):
        exact -= exact.mean(axis=-1, keepdims=True)
    highest = exact.max(axis=-1)
    if name.endswith("max_logit"):
        return np.asarray(highest)
    return np.asarray(highest + np.log(np.exp(exact - highest[..., np.newaxis]).sum(axis=-1)))


def chance_of_food(scores: NDArray[np.float64] | float, chance: Logistic) -> NDArray[np.float64]:
    """Return the chance of food, 0..1, for scores as ``food_scores`` gives them."""
    exponent = -chance.slope * (np.asarray(scores, np.float64) - chance.midpoint)
    return np.asarray(1 / (1 + np.exp(np.minimum(np.maximum(exponent, -700), 700))))
