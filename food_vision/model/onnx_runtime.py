"""The fast engine: ONNX Runtime on the processor, on the file derived from the weights."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import numpy as np
import onnxruntime

from food_vision.errors import StartupError
from food_vision.model.bundle import EXPORT, Bundle
from food_vision.model.engine import Batch, Outputs, check_batch
from food_vision.processors import sums_of_bytes_are_exact

VERSION = f"ONNX Runtime {onnxruntime.__version__}"
ERRORS = 3
"""Of the severities that are logged; a container without a graphics card is worth a warning to the library."""
MOST_LANES = 16
"""Each takes 5 MB; where there are more processors, more workers use them better."""
BLANKS = 4
"""Photos that each lane runs at the start: enough for all to run at the same time."""
AS_MUCH_AS_NEEDED = 1
"""How an arena grows; by itself it would double."""


class OnnxRuntime:
    """Runs photos one by one: on processors a batch of eight is no faster than eight photos (docs/decisions/001).

    Who asks while nobody else does has all threads; those who come before that one is done have one each. Threads that
    share a photo wait for each other some 65 times in it, which shortens the answer where processors are idle and
    wastes them where they are not (docs/decisions/015-lanes.md).

    Args:
        bundle: Which model.
        threads: Threads that share one photo, or have one each.
    """

    def __init__(self, bundle: Bundle, threads: int) -> None:
        self.name = VERSION + ", INT8" * (bundle.precision == "int8")
        self.lanes = min(threads, MOST_LANES)
        self._side = bundle.preprocessing.size
        self._wide = _opened(bundle, threads)
        self._narrow = _opened(bundle, 1) if threads > 1 else self._wide
        self._asking = 0
        self._lock = threading.Lock()
        self._input = self._wide.get_inputs()[0].name
        self._take_memory_now()

    def predict(self, batch: Batch) -> Outputs:
        """Return ``float32[N, outputs]`` for RGB photos ``uint8[N, S, S, 3]``."""
        check_batch(batch, self._side)
        with self._session() as session:
            return np.concatenate([session.run(None, {self._input: photo[np.newaxis]})[0] for photo in batch])

    def _take_memory_now(self) -> None:
        """Run as many photos at once as ever will be; ``open_engine`` runs one that is alone.

        Taken when many came at once for the first time, their memory was a step of 11 MB in the 22nd minute of mixed
        traffic, and looked like a leak.
        """
        blanks = np.zeros((BLANKS, self._side, self._side, 3), np.uint8)
        # While one asks, all others share the narrow session.
        with self._session(), ThreadPoolExecutor(self.lanes) as threads:
            list(threads.map(self.predict, [blanks] * self.lanes))

    @contextmanager
    def _session(self) -> Iterator[onnxruntime.InferenceSession]:
        with self._lock:
            session = self._narrow if self._asking else self._wide
            self._asking += 1
        try:
            yield session
        finally:
            with self._lock:
                self._asking -= 1


def open_model(bundle: Bundle, threads: int) -> OnnxRuntime:
    """Load the model.

    Raises:
        StartupError: when the graph is not one that this version of ONNX Runtime can run.
    """
    onnxruntime.set_default_logger_severity(ERRORS)
    _share_arena()
    try:
        return OnnxRuntime(bundle, threads)
    except Exception as error:  # What the library raises has nothing else in common.
        sentence = (
            f"{VERSION} cannot run {bundle.derived}: {_reason(error)}; make it anew with `{EXPORT} {bundle.weights}`."
        )
        raise StartupError(sentence) from error


def _reason(error: Exception) -> str:
    """Return the first line of what the library says, without the codes that it puts before it."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rpartition(" : ")[2].rstrip(".")


@cache
def _share_arena() -> None:
    """Have all sessions of the process take the memory of their runs from one place; once, or the library complains."""
    place = onnxruntime.OrtMemoryInfo(
        "Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    )
    growth = onnxruntime.OrtArenaCfg({"arena_extend_strategy": AS_MUCH_AS_NEEDED})
    onnxruntime.create_and_register_allocator(place, growth)


def _opened(bundle: Bundle, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = ERRORS
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.use_env_allocators", "1")
    # Threads that wait for work do not keep a processor busy: others have use for it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if not sums_of_bytes_are_exact():
        # Else products of bytes are added in 16 bits, and what is more is cut off: other dishes come out.
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(bundle.derived, options, providers=["CPUExecutionProvider"])
