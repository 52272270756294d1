"""What every serving framework gets inside: our fast engine, our recipe by Pillow, and a photo fetched by its link.

No more than that: no limits, no guard against links into private networks, no queue bounds and no figures, as in the
examples of their documentation. A photo takes one connection, as ours does.
"""

import urllib.request
from pathlib import Path

from food_vision.intake.decode import decode
from food_vision.model.bundle import load_bundle
from food_vision.model.engine import open_engine
from food_vision.model.scores import Scorer
from food_vision.settings import Settings

WEIGHTS = Path(__file__).parents[2] / "food-vision-model.h5"
NO_PROXY = urllib.request.ProxyHandler({})


class Dishes:
    """Tells the dish on a photo.

    Args:
        threads: Threads of one inference.
    """

    def __init__(self, threads: int) -> None:
        bundle = load_bundle(WEIGHTS)
        self._recipe = bundle.preprocessing
        self._engine = open_engine(bundle, Settings(model=WEIGHTS, inference_threads=threads))
        self._scorer = Scorer(bundle)
        self._opener = urllib.request.build_opener(NO_PROXY)

    def fetch(self, link: str) -> bytes:
        """Return the bytes behind a link."""
        with self._opener.open(link, timeout=10) as answer:
            return bytes(answer.read())

    def tell(self, data: bytes) -> dict[str, str | float]:
        """Return the dish and its score in percent."""
        pixels = decode(data, self._recipe).pixels
        best = self._scorer.score(self._engine.predict(pixels[None])[0]).ranked[0]
        return {"dish": best.dish, "score": round(100 * best.score, 2)}
