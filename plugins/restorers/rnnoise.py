"""RNNoise: noise suppression by a small recurrent network, made for telephony."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.errors import ComponentError, one_line
from selfremaster.core.interfaces import Restorer
from selfremaster.plugins.restorers.peers import EXTRA, at_own_rate, in_frames

PACKAGE = "pyrnnoise"
FULL_SCALE = 32767  # of 16 bits, as the package takes them
FLOATS = ctypes.POINTER(ctypes.c_float)


class RnNoise(Restorer):
    """Turn down noise in the bands of hearing, as a small recurrent network hears it.

    It works at 48000 Hz in frames of 480 samples; other rates are brought there and back. Its delay
    of 960 samples (20 ms) is taken out, and it begins anew with every channel. As in the package
    the wave is brought to 16 bits; unlike there, what is louder than full scale neither stops the
    work nor wraps around, and the result is not rounded.

    Shape: wave (channels, samples) -> (channels, samples), float32, full scale = 1.
    Source: Valin, "A hybrid DSP/deep learning approach to real-time full-band speech enhancement"
    (MMSP 2018), by the library in the package pyrnnoise.
    Raises `ComponentError` without the package; `AudioError` for an empty wave and for samples that
    are not finite.

    >>> RnNoise.delay_samples / RnNoise.rate_hz  # seconds
    0.02
    """

    packages: ClassVar[tuple[str, ...]] = (PACKAGE,)
    rate_hz: ClassVar[int] = 48000
    frame_samples: ClassVar[int] = 480
    delay_samples: ClassVar[int] = 960  # at 48000 Hz; measured, and taken out

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        self._binding = _binding()

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        """The wave with less noise."""
        del reference
        return at_own_rate(wave, sample_rate, self.rate_hz, self._channel)

    def _channel(self, channel: np.ndarray) -> np.ndarray:
        with self._state() as state:

            def enhance(frame: np.ndarray) -> np.ndarray:
                heard: np.ndarray = np.trunc(frame * FULL_SCALE)
                place = heard.ctypes.data_as(FLOATS)
                self._binding.lib.rnnoise_process_frame(state, place, place)
                heard /= FULL_SCALE
                return heard

            return in_frames(channel, self.frame_samples, self.delay_samples, enhance)

    @contextmanager
    def _state(self) -> Iterator[Any]:
        state = self._binding.create()
        try:
            yield state
        finally:
            self._binding.destroy(state)


def _binding() -> Any:
    """The package's module that binds the library, and no other of its modules.

    The rest of the package reads and writes files by FFmpeg, which is not needed for this.
    Raises `ComponentError` where it is missing or its library does not load.
    """
    found = find_spec(PACKAGE)
    if found is None or not found.submodule_search_locations:
        absent = ModuleNotFoundError(f"No module named {PACKAGE!r}", name=PACKAGE)
        raise ComponentError(
            f"needs the package {PACKAGE}; pip install 'selfremaster[{EXTRA}]'"
        ) from absent
    path = Path(found.submodule_search_locations[0]) / "rnnoise.py"
    spec = spec_from_file_location(f"_{PACKAGE}_binding", path)
    if spec is None or spec.loader is None:
        raise ComponentError(f"{path}: cannot be imported; install {PACKAGE} anew")
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (ImportError, OSError, AttributeError) as error:
        raise ComponentError(
            f"{path}: does not load ({one_line(error)}); install {PACKAGE} anew"
        ) from error
    return module
