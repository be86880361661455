"""Everything that the toolkit raises on purpose, one class a layer, all under one base."""


class SelfRemasterError(Exception):
    """A problem with what was given: one line that says what, what is allowed and what to do."""


class ComponentError(SelfRemasterError):
    """A part that cannot be found, built or used, or that breaks a promise of its kind."""


class ExperimentError(SelfRemasterError):
    """An experiment, or a manifest that it names, that cannot be read or makes no sense."""


class AudioError(SelfRemasterError):
    """An audio file or wave that cannot be read, used or written."""


class PeakError(AudioError):
    """A wave that goes beyond full scale, where what it is written to cannot."""


class LevelError(AudioError):
    """A file of another level than its sound, and the gain that it lacks."""

    def __init__(self, words: str, gain: float) -> None:
        super().__init__(words)
        self.gain = gain


class BundleError(SelfRemasterError):
    """A bundle or checkpoint that is damaged, foreign, or does not fit the model."""


class TrainingError(SelfRemasterError):
    """A training run that cannot start, go on, or has left the numbers behind (NaN)."""


class RemoteError(SelfRemasterError):
    """An object of a store that cannot be listed, fetched or put, or a URL that is none."""


STOPS = (KeyboardInterrupt, GeneratorExit, MemoryError)
"""What a stranger's part may raise that is no fault of it."""


def one_line(error: BaseException) -> str:
    """What a stranger's exception says, as one line with its class."""
    try:
        text = " ".join(str(error).split())
    except STOPS:
        raise
    except BaseException:  # a stranger's may fail at that, too
        text = ""
    name = type(error).__name__
    return f"{name}: {text}" if text else name


ADVICE = "try `selfremaster check`, or leave the plugin out"
"""What to do about a part that breaks a promise at work."""
