# SPDX-FileCopyrightText: The Mailroom authors
# SPDX-License-Identifier: Apache-2.0
"""What the machine says: the processor time and memory of a server with all its processes, and its disk's speed."""

from __future__ import annotations

import os
import platform
import resource
import socket
import statistics
import time
from collections import defaultdict
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """The process and all below it."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            children[int(fields[1])].append(int(entry.name))
    found = [root]
    for process in found:
        found += children[process]
    return found


def cpu(root: int) -> float:
    """Seconds of processor time, user and system, of the tree: those that live, and those of them that were reaped."""
    used = (fields[11:15] for process in tree(root) if (fields := _stat(process)))
    return sum(int(ticks) for four in used for ticks in four) / _TICKS


def pss(root: int) -> int:
    """Octets of memory of the tree; what processes share is counted once."""
    return sum(_kib(process, "smaps_rollup", "Pss:") for process in tree(root)) * 1024


def peak_rss(process: int) -> int:
    """The most octets that the process has had resident."""
    return _kib(process, "status", "VmHWM:") * 1024


def _stat(process: int) -> list[str]:
    """The fields after the name, which may hold spaces: state, parent ... (proc(5))."""
    try:
        return (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _kib(process: int, file: str, field: str) -> int:
    try:
        lines = (_PROC / str(process) / file).read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(field)), 0)


def children_cpu() -> float:
    """Seconds of processor time of our own children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def sync_ms(folder: Path, *, times: int = 200) -> float:
    """The median time of a write of 4 KiB with its sync, in a file that grows."""
    probe = folder / "sync-probe"
    took = []
    handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        for _ in range(times):
            began = time.perf_counter()
            os.write(handle, b"x" * 4096)
            os.fdatasync(handle)
            took.append(time.perf_counter() - began)
    finally:
        os.close(handle)
        probe.unlink()
    return statistics.median(took) * 1000


def file_system(folder: Path) -> str:
    """The type of the file system that holds the folder."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    holding = [(point, kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(holding, key=lambda mount: len(mount[0]), default=("", "?"))[1]


def facts(folder: Path) -> str:
    """The machine in one line."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "unknown processor")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    return (
        f"{os.cpu_count()} cores ({platform.machine()}, {model}), {memory:.0f} GiB, {file_system(folder)}, "
        f"{platform.system()} {platform.release().partition('-')[0]}, Python {platform.python_version()}"
    )


def load_average() -> float:
    """How many processes wanted a processor, on average over the last minute."""
    return os.getloadavg()[0]


def free_port() -> int:
    """A port of the loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
