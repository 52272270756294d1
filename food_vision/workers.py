"""Several processes that serve, and the one that starts them, replaces those that die, and ends them.

Workers are forked from a process that has imported everything and opened nothing but the socket: a new one serves as
soon as it has its model. uvicorn's own supervisor starts each from nothing, and takes those for dead that do not answer
within 5 s: on a busy machine it killed seven beginners in a row, and was one worker short for 47 s.
"""

import contextlib
import ctypes
import gc
import logging
import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from food_vision.errors import StartupError
from food_vision.logs import write

log = logging.getLogger("food_vision")

Serve = Callable[[Callable[[], None]], None]
"""Serves until told to stop; calls what it is given as soon as it does serve."""

ENDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PAUSE = 1.0
"""Seconds before another try, where a worker has died before it served: what it met may still be there."""
READY = b"r"
_MEMORY = ", as systems do that are short of memory"
PR_SET_PDEATHSIG = 1


@dataclass
class Worker:
    """A process, and the pipe on which it tells that it serves; the end of the pipe is the end of the process."""

    pid: int
    pipe: int
    ready: bool = False


class Workers:
    """Keeps ``count`` processes at work.

    Args:
        count: How many.
        serve: What each does.
        say_so: Called once, when the first of them serves.
        stop_listening: Called once, when the end begins and no more are started. Callers would go on getting in, and
            wait for nobody, as long as this process has the socket open too.
        patience: Seconds that they have to end; who has not ended then is killed.
    """

    def __init__(
        self,
        count: int,
        serve: Serve,
        *,
        say_so: Callable[[], None],
        stop_listening: Callable[[], None],
        patience: float,
    ) -> None:
        self._count = count
        self._serve = serve
        self._say_so = say_so
        self._stop_listening = stop_listening
        self._patience = patience
        self._workers: dict[int, Worker] = {}
        self._selector = selectors.DefaultSelector()
        self._signals: list[int] = []
        self._kill_at = self._start_at = float("inf")
        self._ever_ready = self._ending = False
        self._status = 0

    def run(self) -> int:
        """Return the exit status when all have ended: 0, or that of a worker that could not start.

        The first one starts alone: what keeps it from serving would keep all.

        Raises:
            StartupError: the first one cannot be made, or ended before it served and could not say why.
        """
        self._listen_to_signals()
        gc.freeze()  # What is here stays shared with the workers, instead of being copied at their first collection.
        try:
            self._start()
        except OSError as error:
            raise StartupError(f"no worker can be made: {error.strerror}.") from error
        while self._workers or self._start_at < float("inf"):
            for key, _ in self._selector.select(self._until_something_is_due()):
                if key.data is None:
                    os.read(key.fd, 64)
                else:
                    self._hear(key.data)
            self._mind_signals()
            self._mind_clock()
        return self._status

    def _listen_to_signals(self) -> None:
        heard, told = os.pipe()
        os.set_blocking(told, False)
        self._selector.register(heard, selectors.EVENT_READ)
        signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        for number in ENDS:
            if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                continue  # As ``nohup`` leaves it.
            signal.signal(number, lambda number, _: self._signals.append(number))

    def _start_those_missing(self) -> None:
        """Start them, or try again after a pause where the system has no room for one more: the others serve on."""
        self._start_at = float("inf")
        try:
            while len(self._workers) < self._count:
                self._start()
        except OSError as error:
            sentence = f"A worker cannot be made: {error.strerror}; it is tried again in {PAUSE:g} s."
            write(log, logging.WARNING, message=sentence)
            self._start_at = time.monotonic() + PAUSE

    def _start(self) -> None:
        here, there = os.pipe()
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            os.close(here)
            os.close(there)
            raise
        if pid == 0:
            os.close(here)
            self._be_worker(parent, there)
        os.close(there)
        worker = self._workers[pid] = Worker(pid, here)
        self._selector.register(here, selectors.EVENT_READ, worker)

    def _be_worker(self, parent: int, pipe: int) -> NoReturn:
        """Serve, and leave without what is the parent's to do at its end."""

        def serve() -> None:
            self._forget_parent(parent)
            self._serve(lambda: _tell(pipe))

        leave_after(serve)

    def _forget_parent(self, parent: int) -> None:
        signal.set_wakeup_fd(-1)
        for number in ENDS:
            signal.signal(number, signal.SIG_DFL)
        # A terminal that closes tells all at once; the parent hears it, and has its workers end in good order.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        end_cleanly_at_sigterm()
        self._selector.close()
        if self._signals:
            sys.exit(0)  # Told to end between the fork and here.
        if sys.platform == "linux":
            # Nobody would end or replace the orphans of a parent that was killed, and they hold the port.
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:
                sys.exit(1)

    def _hear(self, worker: Worker) -> None:
        if os.read(worker.pipe, 1) == READY:
            if not self._ever_ready and not self._ending:
                self._say_so()
            worker.ready = self._ever_ready = True
            if not self._ending and self._start_at == float("inf"):
                self._start_those_missing()
            return
        self._selector.unregister(worker.pipe)
        os.close(worker.pipe)
        del self._workers[worker.pid]
        status = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
        if not self._ending:
            self._replace(worker, status)

    def _replace(self, worker: Worker, status: int) -> None:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        if not self._ever_ready:
            if status <= 0:
                raise StartupError(f"its first worker {how} before it served{_MEMORY * (status == -signal.SIGKILL)}.")
            self._status = status  # It has said why.
            return
        write(log, logging.WARNING, message=f"Worker {worker.pid} {how}; another one takes its place.")
        if worker.ready:
            self._start_those_missing()
        else:
            self._start_at = time.monotonic() + PAUSE

    def _mind_signals(self) -> None:
        if not self._signals or self._ending:
            return
        self._ending, self._start_at = True, float("inf")
        self._kill_at = time.monotonic() + self._patience
        self._stop_listening()
        for worker in self._workers.values():
            # Those who do not serve yet hold nothing, and would only hear of it when they do.
            os.kill(worker.pid, signal.SIGTERM if worker.ready else signal.SIGKILL)

    def _mind_clock(self) -> None:
        now = time.monotonic()
        if now >= self._kill_at:
            self._kill_at = float("inf")
            self._status = 1
            for worker in self._workers.values():
                os.kill(worker.pid, signal.SIGKILL)
        if now >= self._start_at:
            self._start_those_missing()

    def _until_something_is_due(self) -> float | None:
        due = min(self._kill_at, self._start_at)
        return None if due == float("inf") else max(0.0, due - time.monotonic())


def end_cleanly_at_sigterm() -> None:
    """Take SIGTERM for a clean end: uvicorn finishes what is under way, and then hands the signal on."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def leave_after(serve: Callable[[], None]) -> NoReturn:
    """Serve, then end the process, whatever its threads do: the interpreter would wait for a stuck one for ever."""
    status = 1
    try:
        serve()
        status = 0
    except SystemExit as end:
        status = _status_of(end)
    except KeyboardInterrupt:
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            # A full disk or a closed pipe: there is nobody left to tell.
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(status)


def _tell(pipe: int) -> None:
    os.write(pipe, READY)


def _status_of(end: SystemExit) -> int:
    """Return the exit status, and say what the interpreter would say."""
    if isinstance(end.code, str):
        with contextlib.suppress(OSError, ValueError):
            print(end.code, file=sys.stderr)
        return 1
    return end.code or 0
