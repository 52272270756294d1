"""How good a network is while it trains: on held-out training photos, which never train anything."""

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


class Judge:
    """Held-out photos, known sharp and as tiles; every other tile is enough while training."""

    def __init__(self, sharp: list[Sample], small: list[Sample]) -> None:
        self.sets = {"sharp": sharp, "tiles": small[::2]}

    def __call__(self, network: Network) -> float:
        """Print how good a network is and return the mean of both sets' negative log-likelihoods; less is better.

        On so few photos the likelihood tells more than the share of right answers.
        """
        likelihoods = []
        for name, samples in self.sets.items():
            logits, labels = logits_of(network, samples), labels_of(samples)
            likelihoods.append(nll(logits, labels))
            shares = (f"{100 * share(logits, labels).value:.1f}" for share in (top, class_mean))
            print(f"held out, {name}: top-1 %, mean over classes % {', '.join(shares)}, NLL {likelihoods[-1]:.3f}")
        return float(np.mean(likelihoods))


@torch.inference_mode()
def logits_of(network: Network, samples: list[Sample], recipe: Preprocessing = SERVED) -> NDArray[np.float32]:
    """Return ``float32[N, classes]`` of photos prepared as the server does."""
    found = []
    for start in range(0, len(samples), CHUNK):
        pixels = [decode(sample.data, recipe).pixels for sample in samples[start : start + CHUNK]]
        with torch.autocast("cpu", torch.bfloat16):
            found.append(network(as_tensor(pixels)).numpy())
    return np.concatenate(found)
