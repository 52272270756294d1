"""Ours beside the tutorial's way and three serving frameworks: ``python -m benchmarks.peers [--short]``.

    apt-get install wrk && python -m benchmarks.peers

Each server is installed into a virtual environment of its own (3 GB in all, under ``runs/benchmarks``), and then they
take turns, round after round, so that whatever else the machine does meets all of them alike: started, asked for photos
of 640 x 480 that lie on a host on loopback, no link twice, by one caller and by eight, stopped. All run the same
weights; the frameworks run our engine, and our recipe by Pillow. Writes docs/benchmarks.md and its figures; ``--short``
is one round of seconds, and writes nothing. A quarter of an hour once all are installed.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.harness.load import Photos, require_wrk
from benchmarks.harness.origin import running_origin
from benchmarks.harness.photos import write_photos
from benchmarks.peers.entrants import Entrant, entrants
from benchmarks.peers.environments import NotInstalled, environment, megabytes_of_packages
from benchmarks.peers.measuring import Plan, Turn, take_turn
from benchmarks.peers.reporting import Results, report, write

FULL, SHORT = Plan(callers=8, seconds=8, warm_up=2), Plan(callers=8, seconds=2, warm_up=1)
ROUNDS, PHOTOS, SIZE = 5, 16, (640, 480)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="one round of seconds; writes nothing")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="*", help="names of servers")
    arguments = parser.parse_args()
    require_wrk()
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder = Path(name)
        files = write_photos(folder, *SIZE, PHOTOS)
        everybody = entrants(_write_uploads(folder, files))
        everybody = [entrant for entrant in everybody if not arguments.only or entrant.name in arguments.only]
        with running_origin(files) as origin:
            rounds, plan = (1, SHORT) if arguments.short else (arguments.rounds, FULL)
            results = _race(everybody, folder, Photos(origin, PHOTOS), plan, rounds)
    print(report(results))
    if not arguments.short and not arguments.only:
        write(results)


def _write_uploads(folder: Path, photos: Sequence[Path]) -> list[Path]:
    """Write each photo as the body of a form, as browsers and curl send it."""
    head = b'--photo\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n'
    head += b"Content-Type: image/jpeg\r\n\r\n"
    files = [folder / f"{photo.stem}.form" for photo in photos]
    for photo, file in zip(photos, files, strict=True):
        file.write_bytes(head + photo.read_bytes() + b"\r\n--photo--\r\n")
    return files


def _race(everybody: Sequence[Entrant], folder: Path, photos: Photos, plan: Plan, rounds: int) -> Results:
    results = Results(plan)
    places = _install(everybody, results)
    for number in range(1, rounds + 1):
        for entrant in everybody:
            if entrant.label in results.absent:
                continue
            try:
                turn = take_turn(entrant, places[entrant.name], folder / entrant.name, photos, plan)
            except RuntimeError as error:
                results.absent[entrant.label] = str(error)
                print(error, file=sys.stderr, flush=True)
                continue
            results.turns.setdefault(entrant.label, []).append(turn)
            _tell(number, entrant, turn)
    return results


def _install(everybody: Sequence[Entrant], results: Results) -> dict[str, Path]:
    places = {}
    for entrant in everybody:
        try:
            place = environment(entrant.name.partition("-")[0], entrant.requirements)
        except NotInstalled as error:
            results.absent[entrant.label] = f"pip could not install it: {error}"
            print(results.absent[entrant.label], file=sys.stderr, flush=True)
            continue
        places[entrant.name] = place
        results.disk[entrant.label] = megabytes_of_packages(place)
    return places


def _tell(number: int, entrant: Entrant, turn: Turn) -> None:
    figures = f"{turn.busy.rate:.1f} photos/s, {turn.alone.percentile(50):.1f} ms alone, {turn.memory:.0f} MB"
    print(f"round {number}: {entrant.label}: {figures}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
