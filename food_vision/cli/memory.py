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
        limit, used = (int((folder / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):
        # No such files, or the limit is "max".
        return None
    return limit - used + _files_kept(folder)


def _files_kept(folder: Path) -> int:
    """Return the bytes of files that the kernel counts as used, and gives up where memory is asked for."""
    try:
        lines = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(lines["inactive_file"]) + int(lines["active_file"])
    except (OSError, ValueError, LookupError):
        return 0
