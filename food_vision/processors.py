"""What this process may use: how many processors, its own share and not the machine's, and what they can."""

import math
import os
import platform
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Where Linux says how much processor time a container gets: microseconds per period, or ``max``."""

FACTS = Path("/proc/cpuinfo")
"""Where Linux says what processors can."""
VNNI = frozenset({"avx512_vnni", "avx_vnni"})
"""Instructions of x86 processors that add products of bytes in 32 bits; without them it is done in 16."""


def usable_processors() -> int:
    """Return the processors that affinity and the container's quota leave, 1 at least."""
    return max(1, min(_by_affinity(), _by_quota(QUOTA)))


def sums_of_bytes_are_exact(facts: Path = FACTS) -> bool:
    """Return whether products of bytes can be added up without loss at full speed; no where nobody knows."""
    if platform.machine().lower() not in ("x86_64", "amd64"):
        return True
    try:
        return not VNNI.isdisjoint(facts.read_text(encoding="utf-8").split())
    except OSError:
        return False


def _by_affinity() -> int:
    # Not every system can tell.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _by_quota(path: Path) -> int:
    try:
        time, period = path.read_text().split()
    except (OSError, ValueError):
        return os.cpu_count() or 1
    return os.cpu_count() or 1 if time == "max" else math.ceil(int(time) / int(period))
