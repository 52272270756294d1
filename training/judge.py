"""How good a network is while it trains: on held-out training photos, which never train anything."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from food_vision.intake.decode import decode
from food_vision.preprocessing import Preprocessing
from training.batches import as_tensor
from training.data import Sample
from training.inference import labels_of
from training.metrics import class_mean, nll, top
from training.network import Network

SERVED = Preprocessing(fit="crop", filter="bicubic", low_pass=160)
"""As the model is served (docs/decisions/002-resize.md)."""
CHUNK = 48
TEMPERATURES = np.geomspace(0.25, 4, 81)


class Judge:
    """Held-out photos, known sharp and as tiles; every other tile is enough while training."""

    def __init__(self, sharp: list[Sample], small: list[Sample], recipe: Preprocessing = SERVED) -> None:
        self.sets, self.recipe = {"sharp": sharp, "tiles": small[::2]}, recipe

    def __call__(self, network: Network) -> float:
        """Print how good a network is and return the mean of both sets' negative log-likelihoods; less is better.

        On so few photos the likelihood tells more than the share of right answers.
        """
        likelihoods = []
        for name, samples in self.sets.items():
            logits, labels = logits_of(network, samples, self.recipe), labels_of(samples)
            likelihoods.append(nll(logits, labels))
            shares = (f"{100 * share(logits, labels).value:.1f}" for share in (top, class_mean))
            print(f"held out, {name}: top-1 %, mean over classes % {', '.join(shares)}, NLL {likelihoods[-1]:.3f}")
        return float(np.mean(likelihoods))


@torch.inference_mode()
def logits_of(
    network: Network, samples: Sequence[Sample], recipe: Preprocessing = SERVED, *, exact: bool = False
) -> NDArray[np.float32]:
    """Return ``float32[N, classes]`` of photos prepared as the server does; in bfloat16 unless ``exact``."""
    found = []
    for start in range(0, len(samples), CHUNK):
        pixels = [decode(sample.data, recipe).pixels for sample in samples[start : start + CHUNK]]
        with torch.autocast("cpu", torch.bfloat16, enabled=not exact):
            found.append(network(as_tensor(pixels)).numpy())
    return np.concatenate(found)


def least_nll(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return the negative log-likelihood at the best temperature, so that weights are compared as calibrated ones."""
    return min(nll(logits, labels, float(temperature)) for temperature in TEMPERATURES)
