"""MLServer: a custom runtime of the Open Inference Protocol, run in a pool of worker processes (``parallel_workers``).

    mlserver start FOLDER       with model-settings.json in it

The link comes as a BYTES tensor of one element, by MLServer's own string codec.
"""

import asyncio
import os
from typing import List  # noqa: UP035 - MLServer finds its codec by this very type, and by no other

from mlserver import MLModel
from mlserver.codecs import decode_args

from benchmarks.peers.inside import Dishes


class FoodRuntime(MLModel):
    """Tells dishes."""

    async def load(self) -> bool:
        self.dishes = Dishes(int(os.environ["PEER_THREADS"]))
        return True

    @decode_args
    async def predict(self, image_link: List[str]) -> List[str]:  # noqa: UP006
        # Fetched in a thread: the worker's event loop may take the next request meanwhile.
        data = await asyncio.to_thread(self.dishes.fetch, image_link[0])
        return [str(self.dishes.tell(data)["dish"])]
