"""One engine alone in a process: answers its parent's orders with figures, one JSON line each.

Started by ``benchmarks.engines``; imports nothing large but the engine it is told to measure.
"""

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from food_vision.processors import sums_of_bytes_are_exact

Predict = Callable[[np.ndarray], np.ndarray]


def main() -> None:
    """Load the engine named by the arguments, then serve orders from standard input until it closes."""
    name, path, threads = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    before = _rss()
    started = time.perf_counter()
    predict = ENGINES[name](path, threads)
    photo = np.zeros((1, 224, 224, 3), np.uint8)
    predict(photo)
    _answer({"load_s": time.perf_counter() - started, "rss_empty": before, "rss_load": _rss()})
    for line in sys.stdin:
        _answer(_obey(json.loads(line), predict))


def _obey(order: dict[str, Any], predict: Predict) -> dict[str, Any]:
    photos = np.load(order["photos"])[: order["batch"]]
    if order["do"] == "logits":
        return {"logits": predict(photos).tolist()}
    predict(photos)
    times = []
    for _ in range(order["count"]):
        started = time.perf_counter()
        predict(photos)
        times.append(1000 * (time.perf_counter() - started))
    return {"times_ms": times, "rss": _rss()}


def openvino(path: Path, threads: int) -> Predict:
    """OpenVINO on an IR or an ONNX file."""
    ov = importlib.import_module("openvino")
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads, "INFERENCE_PRECISION_HINT": "f32"}
    request = ov.Core().compile_model(path, "CPU", config).create_infer_request()
    return lambda photos: np.asarray(request.infer([photos])[0])


def openvino_single(path: Path, threads: int) -> Predict:
    """OpenVINO, a batch photo by photo."""
    return _one_by_one(openvino(path, threads))


def onnxruntime(path: Path, threads: int) -> Predict:
    """ONNX Runtime as it comes."""
    return _onnxruntime(path, threads, arena=True, spin=True)


def onnxruntime_lean(path: Path, threads: int) -> Predict:
    """ONNX Runtime without its memory arena and without threads that spin while they wait."""
    return _onnxruntime(path, threads, arena=False, spin=False)


def onnxruntime_single(path: Path, threads: int) -> Predict:
    """ONNX Runtime as the server has it, a batch photo by photo."""
    return _one_by_one(_onnxruntime(path, threads, arena=True, spin=False))


def litert(path: Path, threads: int) -> Predict:
    """LiteRT with XNNPACK; one interpreter per batch size, since a change of size plans its memory anew."""
    module = importlib.import_module("ai_edge_litert.interpreter")
    ready: dict[int, Any] = {}

    def predict(photos: np.ndarray) -> np.ndarray:
        if len(photos) not in ready:
            ready[len(photos)] = _interpreter(module, path, threads, photos.shape)
        interpreter = ready[len(photos)]
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], photos)
        interpreter.invoke()
        return np.asarray(interpreter.get_tensor(interpreter.get_output_details()[0]["index"]))

    return predict


def litert_single(path: Path, threads: int) -> Predict:
    """LiteRT with XNNPACK, a batch photo by photo."""
    return _one_by_one(litert(path, threads))


def keras(path: Path, threads: int) -> Predict:
    """Keras on TensorFlow, compiled to a graph."""
    tf = importlib.import_module("tensorflow")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = tf.keras.models.load_model(path, compile=False)
    body = tf.keras.Model(model.input, model.layers[-1].input)
    graph = tf.function(lambda photos: body(tf.cast(photos, tf.float32), training=False), reduce_retracing=True)
    return lambda photos: np.asarray(graph(photos))


def _one_by_one(predict: Predict) -> Predict:
    return lambda photos: np.concatenate([predict(photo[np.newaxis]) for photo in photos])


def _onnxruntime(path: Path, threads: int, *, arena: bool, spin: bool) -> Predict:
    module = importlib.import_module("onnxruntime")
    options = module.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.enable_cpu_mem_arena = arena
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if spin else "0")
    if not sums_of_bytes_are_exact():
        options.add_session_config_entry("session.x64quantprecision", "1")
    session = module.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda photos: np.asarray(session.run(None, {"photo": photos})[0])


def _interpreter(module: Any, path: Path, threads: int, shape: tuple[int, ...]) -> Any:  # noqa: ANN401 - untyped library
    interpreter = module.Interpreter(model_path=str(path), num_threads=threads)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], shape)
    interpreter.allocate_tensors()
    return interpreter


def _rss() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _answer(figures: dict[str, Any]) -> None:
    print(json.dumps(figures), flush=True)


ENGINES: dict[str, Callable[[Path, int], Predict]] = {
    "openvino": openvino,
    "openvino-single": openvino_single,
    "onnxruntime": onnxruntime,
    "onnxruntime-lean": onnxruntime_lean,
    "onnxruntime-single": onnxruntime_single,
    "litert": litert,
    "litert-single": litert_single,
    "keras": keras,
}

if __name__ == "__main__":
    main()
