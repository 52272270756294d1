"""LitServe: one class with its four steps, a worker process for each processor (``workers_per_device``).

    python -m benchmarks.peers.litserve_server PORT WORKERS THREADS

No batching: the engine takes photos one by one, and waiting for others would only delay them.
"""

import sys

import litserve

from benchmarks.peers.inside import Dishes

Prediction = dict[str, str | float]


class FoodAPI(litserve.LitAPI):
    """The four steps of a request."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - the base class's signature
        self.dishes = Dishes(int(sys.argv[3]))

    def decode_request(self, request: dict[str, str]) -> bytes:
        return self.dishes.fetch(request["image_link"])

    def predict(self, x: bytes) -> Prediction:
        return self.dishes.tell(x)

    def encode_response(self, output: Prediction) -> Prediction:
        return output


def main() -> None:
    server = litserve.LitServer(FoodAPI(), accelerator="cpu", devices=1, workers_per_device=int(sys.argv[2]))
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)


if __name__ == "__main__":
    main()
