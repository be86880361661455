"""What all tests share: generated inputs are not timed and the same from run to run, one thread."""

import os

from hypothesis import settings

# several test processes with a thread for each core would mostly wait for each other
os.environ.setdefault("OMP_NUM_THREADS", "1")
# a name in a test that happens to be an id asks no network
os.environ.setdefault("HF_HUB_OFFLINE", "1")

settings.register_profile("selfremaster", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("selfremaster")

collect_ignore = ["reference/metric_scores.py"]  # needs packages that nothing else needs
