"""How much memory this process may still take, as Linux tells it."""

from pathlib import Path

MEMINFO = Path("/proc/meminfo")
CONTROL_GROUP = Path("/sys/fs/cgroup")


def available_memory(meminfo: Path = MEMINFO, control_group: Path = CONTROL_GROUP) -> int | None:
    """Return the bytes that the machine and the container's limit leave; ``None`` where the system does not say."""
    known = [limit for limit in (_by_machine(meminfo), _by_limit(control_group)) if limit is not None]
    return min(known) if known else None


def _by_machine(meminfo: Path) -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
        return 1024 * int(lines["MemAvailable"].split()[0])
    except (OSError, ValueError, LookupError):
        return None


def _by_limit(folder: Path) -> int | None:
    try:
        return int((folder / "memory.max").read_text()) - int((folder / "memory.current").read_text())
    except (OSError, ValueError):
        # No such files, or the limit is "max".
        return None
