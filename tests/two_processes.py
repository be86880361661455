"""Trains every experiment of a folder as one of two processes; started by a test, twice.

``python -m tests.two_processes FOLDER RANK PORT``: each ``NAME.yaml`` is trained in ``two/NAME``.
"""

import os
import sys
from pathlib import Path


def main(folder: Path, rank: str, port: str) -> None:
    """Join the other process as torchrun's workers do, and train."""
    os.environ |= {
        "TORCHELASTIC_RUN_ID": "test",
        "GROUP_RANK": "0",
        "LOCAL_RANK": rank,
        "RANK": rank,
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }
    from selfremaster.core.experiments import Experiment
    from selfremaster.registry.runs import train

    for path in sorted(folder.glob("*.yaml")):
        train(Experiment.from_file(path), folder / "two" / path.stem)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
