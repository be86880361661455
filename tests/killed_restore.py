"""A batch that is killed at moments of its own, gone on with, and at last done; a program.

``python -m tests.killed_restore RECORDINGS FOLDER SEED KILLS``, as `killed_benchmark` does.
"""

import sys

from selfremaster.cli import main
from tests.killed_benchmark import Moments, go_through


class Batches(Moments):
    """Restores a folder, in twos of files of which one has a picture beside it."""

    def run(self, given: str, output: str, last: int = 0) -> int:
        """Restore or go on; gives the exit code."""
        self.below, self.last, self.count = output, last, 0
        model = f"{given}/tiny.safetensors"
        words = ["restore", given, "--output", output, "--model", model, "--resume", "--quiet"]
        return main([*words, "--provenance"])


if __name__ == "__main__":
    go_through(Batches(), *sys.argv[1:])
