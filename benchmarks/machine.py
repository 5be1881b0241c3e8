"""What this process has of the machine: memory, in megabytes, and connections."""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["many_files", "peak", "resident"]

_STATUS = Path("/proc/self/status")


def peak() -> float:
    """At most so far. Linux counts the parent into a child's ``ru_maxrss``, but not into ``VmHWM``."""
    if _STATUS.exists():
        return _read("VmHWM")
    import resource  # not on Windows

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def resident() -> float:
    """Now; the peak, where the operating system does not say."""
    return _read("VmRSS") if _STATUS.exists() else peak()


def _read(name: str) -> float:
    return next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if name in line) * 1024 / 1e6


def many_files() -> None:
    """Allows this process as many connections as it may have."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows, which has no such limit
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
