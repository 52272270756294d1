"""How many processors this process may use: its own share, not the machine's."""

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much processor time a container gets: microseconds per period, or ``max``."""


def usable_processors() -> int:
    """Return the processors that affinity and the container's quota leave, 1 at least."""
    return max(1, min(_by_affinity(), _by_quota(QUOTA)))


def _by_affinity() -> int:
    # Not every system can tell.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _by_quota(path: Path) -> int:
    try:
        time, period = path.read_text().split()
    except (OSError, ValueError):
        return os.cpu_count() or 1
    return os.cpu_count() or 1 if time == "max" else math.ceil(int(time) / int(period))
