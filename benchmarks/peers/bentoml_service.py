"""BentoML: a service class with one API method, a worker process for each processor (``workers``).

    bentoml serve benchmarks.peers.bentoml_service:Food --port PORT

The number of workers, of threads that run a worker's method, and of threads of one inference come from the
environment, since the decorator reads them.
"""

import os

import bentoml

from benchmarks.peers.inside import Dishes

WORKERS, THREADS = int(os.environ["PEER_WORKERS"]), int(os.environ["PEER_THREADS"])


@bentoml.service(workers=WORKERS, traffic={"timeout": 60})
class Food:
    """Tells dishes."""

    def __init__(self) -> None:
        self.dishes = Dishes(THREADS)

    @bentoml.api
    def predict(self, image_link: str) -> dict[str, str | float]:
        return self.dishes.tell(self.dishes.fetch(image_link))
