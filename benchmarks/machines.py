"""The machine that measures: what it is, and the memory that a process of it held."""

import ctypes
import gc
import os
import platform
import sys
from contextlib import suppress
from pathlib import Path

import torch


def processor() -> str:
    """What the processor calls itself."""
    about = Path("/proc/cpuinfo")
    if about.is_file():
        for line in about.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def machine() -> str:
    """The processor, how many there are, and an accelerator, in words."""
    words = [f"{processor()}, {os.cpu_count()} processors", platform.system()]
    if torch.cuda.is_available():
        words.append(torch.cuda.get_device_name(0))
    return "; ".join(words)


def peak_memory_bytes() -> int:
    """The most memory that this process ever held.

    On Linux from its own address space: what `getrusage` says there starts at the parent's peak.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak_memory() -> None:
    """Let `peak_memory_bytes` begin at what is held now, where the system can (Linux).

    What is no longer used is given back before, as far as the allocator does that.
    """
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
