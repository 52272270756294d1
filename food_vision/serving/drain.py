"""The end of a worker, put off until the routers before it have noticed.

A router goes on sending requests for a moment after it was told that an instance ends. So SIGTERM first turns readiness
off while listening goes on, and only after ``drain_delay`` the server stops listening and finishes what it has.
"""

import asyncio
import signal
import threading
from types import FrameType


class Drain:
    """Knows whether the end has begun.

    Args:
        delay: Seconds from SIGTERM until the server hears of it.
    """

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self.began = False

    def take_over(self) -> None:
        """Stand between SIGTERM and the server that handles it; to be called in its event loop, once it is there.

        Does nothing where no server handles the signal (tests, other threads).
        """
        if threading.current_thread() is not threading.main_thread():
            return
        loop, server = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
        if not callable(server):
            return

        def begin(number: int, frame: FrameType | None) -> None:
            # Platforms send the signal to every process, and the parent sends it to its workers again.
            if not self.began:
                self.began = True
                loop.call_soon_threadsafe(loop.call_later, self._delay, server, number, frame)

        signal.signal(signal.SIGTERM, begin)
