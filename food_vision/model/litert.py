"""The fast engine: LiteRT with XNNPACK, on the file derived from the weights."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from food_vision.errors import StartupError
from food_vision.model.bundle import EXPORT, Bundle
from food_vision.model.engine import Batch, Outputs, check_batch

MOST_LANES = 4
"""Each holds its own weights and activations."""


class LiteRT:
    """Runs photos one by one: on processors a batch of eight is slower than eight photos (docs/decisions/001).

    Who asks while nobody else does has all threads; those who ask at the same time have a lane of their own each, with
    its share of them. Threads that share a photo wait for each other some 65 times in it, which shortens the answer
    where processors are idle and wastes them where they are not (docs/decisions/015-lanes.md).

    Args:
        bundle: Which model.
        threads: Threads that share one photo, or are shared by several.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.name = f"LiteRT {version('ai-edge-litert')}" + ", INT8" * (bundle.precision == "int8")
        self.lanes = min(threads, MOST_LANES)
        self._side = bundle.preprocessing.size
        self._wide = self._opened(bundle, threads)
        self._narrow = [self._opened(bundle, threads // self.lanes) for _ in range(self.lanes) if self.lanes > 1]
        self._asking = 0
        self._lock = threading.Lock()
        self._input = self._wide.get_input_details()[0]["index"]
        output = self._wide.get_output_details()[0]
        self._output, self._width = output["index"], int(output["shape"][-1])

    def predict(self, batch: Batch) -> Outputs:
        """Return ``float32[N, outputs]`` for RGB photos ``uint8[N, S, S, 3]``."""
        check_batch(batch, self._side)
        outputs = np.empty((len(batch), self._width), np.float32)
        with self._lane() as interpreter:
            for row, photo in zip(outputs, batch, strict=True):
                interpreter.set_tensor(self._input, photo[np.newaxis])
                interpreter.invoke()
                row[:] = interpreter.get_tensor(self._output)[0]
        return outputs

    @contextmanager
    def _lane(self) -> Iterator[Interpreter]:
        with self._lock:
            is_alone = not self._asking
            self._asking += 1
            interpreter = self._wide if is_alone else self._narrow.pop()
        try:
            yield interpreter
        finally:
            with self._lock:
                self._asking -= 1
                if not is_alone:
                    self._narrow.append(interpreter)

    @staticmethod
    def _opened(bundle: Bundle, threads: int) -> Interpreter:
        interpreter = Interpreter(model_path=str(bundle.derived), num_threads=threads)
        interpreter.allocate_tensors()
        interpreter.invoke()  # What it takes is taken now: 8 MB when many come at once would look like a leak.
        return interpreter


def open_model(bundle: Bundle, threads: int) -> LiteRT:
    """Load the model.

    Raises:
        StartupError: when the graph is not one that this version of LiteRT can run.
    """
    try:
        return LiteRT(bundle, threads)
    except (ValueError, RuntimeError) as error:
        raise StartupError(
            f"LiteRT {version('ai-edge-litert')} cannot run {bundle.derived}: {error}; "
            f"make it anew with `{EXPORT} {bundle.weights}`."
        ) from error
