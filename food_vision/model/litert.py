"""The fast engine: LiteRT with XNNPACK, on the file derived from the weights."""

from importlib.metadata import version

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from food_vision.errors import StartupError
from food_vision.model.bundle import EXPORT, Bundle
from food_vision.model.engine import Batch, Outputs, check_batch


class LiteRT:
    """Runs photos one by one: on processors a batch of eight is slower than eight photos (docs/decisions/001).

    Args:
        bundle: Which model.
        threads: Threads that share one photo.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.name = f"LiteRT {version('ai-edge-litert')}" + ", INT8" * (bundle.precision == "int8")
        self._side = bundle.preprocessing.size
        self._interpreter = Interpreter(model_path=str(bundle.derived), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]["index"]
        output = self._interpreter.get_output_details()[0]
        self._output, self._width = output["index"], int(output["shape"][-1])

    def predict(self, batch: Batch) -> Outputs:
        """Return ``float32[N, outputs]`` for RGB photos ``uint8[N, S, S, 3]``."""
        check_batch(batch, self._side)
        outputs = np.empty((len(batch), self._width), np.float32)
        for row, photo in zip(outputs, batch, strict=True):
            self._interpreter.set_tensor(self._input, photo[np.newaxis])
            self._interpreter.invoke()
            row[:] = self._interpreter.get_tensor(self._output)[0]
        return outputs


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
