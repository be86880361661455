"""What all tests share: generated inputs are not timed, and the same from run to run."""

from hypothesis import settings

settings.register_profile("selfremaster", deadline=None, derandomize=True, max_examples=25)
settings.load_profile("selfremaster")
