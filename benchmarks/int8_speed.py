"""The part of ``benchmarks.int8`` that looks at the clock: graphs in processes of their own, asked in turn."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from math import prod
from pathlib import Path

import numpy as np

from benchmarks import peak
from benchmarks.engines import Entrant, Worker, sample_photos
from benchmarks.quantised import FLOATS, INT8, Graph
from food_vision.model.keras import load_keras

ROUNDS, SHORT_ROUNDS = 30, 4
BATCHES = (1, 8)
STREAM_PHOTOS = 200
HEAD = """\
| numbers | threads | batch 1: median, best ms | batch 8: median, best ms | times as fast as floats, batch 1, 8 \
| RSS loaded, after MB | share of the peak % |
|---|---|---|---|---|---|---|"""
STREAMS_HEAD = """\
| numbers | processes and threads | photos/s | p50, p99 ms |
|---|---|---|---|"""
ARRANGEMENTS = ((1, 1), (1, 2), (2, 1))
"""Processes and threads of each."""


def print_speed(weights: Path, graphs: Sequence[Graph], folder: Path, *, short: bool) -> None:
    """Ask every graph for a few photos in turn, round after round; print milliseconds, memory, share of the peak."""
    photos = _photos(folder)
    work = multiply_accumulates(weights)
    top = peak.measure() if peak.available() else None
    print(f"\n{work / 1e6:.0f} M multiply-accumulates a photo")
    if top:
        rates = f"{top.float32 / 1e9:.0f} G/s in float32, {top.int8 / 1e9:.0f} G/s in int8"
        print(f"one core at most, measured: {top.clock / 1e9:.2f} GHz, {rates}")
    print(f"\n{HEAD}")
    for threads in (1, 2):
        with ExitStack() as stack:
            workers = [_worker(stack, graph, threads) for graph in graphs]
            for batch in BATCHES:
                for _ in range(SHORT_ROUNDS if short else ROUNDS):
                    for worker in workers:
                        worker.measure(photos, batch)
            for worker in workers:
                print(_row(worker, workers[0], work, top), flush=True)


def print_streams(graphs: Sequence[Graph], folder: Path, *, short: bool) -> None:
    """Keep one process with two threads busy, then two processes with one, in turn; print what gets through."""
    photos = _photos(folder)
    print(f"\n{STREAMS_HEAD}")
    for graph in (graph for graph in graphs if graph.name in (FLOATS, INT8)):
        with ExitStack() as stack:
            teams = [[_worker(stack, graph, threads) for _ in range(count)] for count, threads in ARRANGEMENTS]
            rounds = [[_busy(team, photos) for team in teams] for _ in range(SHORT_ROUNDS if short else ROUNDS)]
        for (count, threads), found in zip(ARRANGEMENTS, zip(*rounds, strict=True), strict=True):
            times = [each for _, answered in found for each in answered]
            speed = f"{np.median([rate for rate, _ in found]):.0f}"
            cells = [graph.name, f"{count} with {threads}", speed]
            cells.append(f"{np.median(times):.2f}, {np.percentile(times, 99):.2f}")
            print(f"| {' | '.join(cells)} |", flush=True)


def multiply_accumulates(weights: Path) -> int:
    """Return how many a photo takes: of every layer with a kernel, the kernel's numbers times the places it is put."""
    layers = [layer for layer in load_keras(weights).layers if hasattr(layer, "kernel")]
    return sum(prod(layer.kernel.shape) * prod(layer.output.shape[1:-1]) for layer in layers)


def _busy(team: Sequence[Worker], photos: Path) -> tuple[float, list[float]]:
    """Return photos per second of the whole team, and the milliseconds of each."""
    began = time.perf_counter()
    for worker in team:
        worker.send(do="time", photos=str(photos), batch=1, count=STREAM_PHOTOS)
    answers = [worker.receive() for worker in team]
    seconds = time.perf_counter() - began
    times = [each for answer in answers for each in answer["times_ms"]]
    return len(times) / seconds, times


def _worker(stack: ExitStack, graph: Graph, threads: int) -> Worker:
    worker = Worker(Entrant(graph.name, "onnxruntime-single", "onnx", ("onnxruntime",)), graph.path, threads)
    stack.callback(worker.close)
    return worker


def _photos(folder: Path) -> Path:
    path = folder / "photos.npy"
    np.save(path, sample_photos(max(BATCHES)))
    return path


def _row(worker: Worker, floats: Worker, work: int, top: peak.Peak | None) -> str:
    median = {batch: float(np.median(worker.times[batch])) for batch in BATCHES}
    speed = (f"{median[batch]:.2f}, {min(worker.times[batch]):.2f}" for batch in BATCHES)
    ratios = ", ".join(f"{np.median(floats.times[batch]) / median[batch]:.2f}" for batch in BATCHES)
    memory = f"{worker.loaded['rss_load']:.0f}, {worker.rss:.0f}"
    cells = [worker.entrant.label, str(worker.threads), *speed, ratios, memory]
    if top:
        most = top.int8 if worker.entrant.label.startswith("INT8") else top.float32
        cells.append(f"{100 * work / (median[1] / 1000) / (most * worker.threads):.0f}")
    return f"| {' | '.join(cells)} |"
