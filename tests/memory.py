"""How much memory this process has taken."""

import re
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_bytes() -> int:
    """The most that was ever in memory at once; 0 where the system does not tell.

    What the resource module tells of a new process counts the one that started it, too.
    """
    if not STATUS.exists():
        return 0
    found = re.search(r"^VmHWM:\s*(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    return 1024 * int(found.group(1)) if found else 0
