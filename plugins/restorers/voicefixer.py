"""VoiceFixer: a network that hears speech and a vocoder that speaks it again, by its authors."""

import contextlib
import io
import os
import tempfile
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from selfremaster.core.components import ComponentConfig
from selfremaster.core.errors import BundleError, ComponentError, one_line
from selfremaster.core.interfaces import Restorer
from selfremaster.core.packages import require
from selfremaster.plugins.restorers.peers import at_own_rate

PACKAGE = "voicefixer"
NEEDED = ("librosa.display", "matplotlib.pyplot", "torchlibrosa.stft")
EXPECTED = Path(".cache", PACKAGE)  # below the home folder
FILES = {
    Path("analysis_module", "checkpoints", "vf.ckpt"): "zenodo.org/records/5600188",
    Path("synthesis_module", "44100", "model.ckpt-1490000_trimed.pt"): "zenodo.org/records/5469951",
}


class VoiceFixerConfig(ComponentConfig):
    """Settings of `VoiceFixer`."""

    weights: Annotated[
        str | None,
        Field(
            description="folder that holds vf.ckpt and model.ckpt-1490000_trimed.pt, beside each "
            "other or as voicefixer keeps them; none: ~/.cache/voicefixer; never downloaded"
        ),
    ] = None
    mode: Annotated[
        Literal[0, 1],
        Field(description="0: the network as it is; 1: higher frequencies are taken out before"),
    ] = 0


class VoiceFixer(Restorer):
    """Hear clean speech in a recording by a network, and speak it by a vocoder, at 44100 Hz.

    The weights are the user's: the package downloads them when it is imported, here nothing is
    downloaded. The network works on 30 seconds at a time; other rates are brought there and back.
    The package cuts what its vocoder says too much at both ends, and so gives it 25 to 30 ms early;
    here it is cut at the end, where the package adds it. Mode 2 of the package is left out: it
    draws numbers and learns while it works.

    It was run with the package's own networks and drawn weights, never with the published ones:
    neither its quality nor its lag on speech was measured.

    Shape: wave (channels, samples) -> (channels, samples), float32, full scale = 1.
    Source: Liu et al., "VoiceFixer: a unified framework for high-fidelity speech restoration"
    (Interspeech 2022), by the package voicefixer.
    Raises `BundleError` without the weights, or for others; `ComponentError` without the package;
    `AudioError` for an empty wave and for samples that are not finite.

    >>> VoiceFixer.segment_samples / VoiceFixer.rate_hz  # seconds
    30.0
    """

    Config = VoiceFixerConfig
    config: VoiceFixerConfig
    packages: ClassVar[tuple[str, ...]] = (PACKAGE,)
    rate_hz: ClassVar[int] = 44100
    hop_samples: ClassVar[int] = 441
    shortest_samples: ClassVar[int] = 10 * 441  # a window of 2048 must fit, with reflection
    segment_samples: ClassVar[int] = 30 * 44100
    delay_samples: ClassVar[int] = 0  # by the package's code: frame 0 of the vocoder is sample 0

    def __init__(self, config: VoiceFixerConfig) -> None:
        super().__init__(config)
        if find_spec(PACKAGE) is None:
            require(PACKAGE)
        files = _find_weights(config.weights)
        for name in NEEDED:  # before the home folder is another: they keep files there
            require(name)
        with _leaving_no_trace(), _home_with(files):
            try:
                self.network: nn.Module = require(PACKAGE).VoiceFixer()
            except ComponentError:
                raise
            except Exception as error:  # whatever torch and the package say of other files
                raise BundleError(
                    f"{files[0]} and {files[1].name} are not the weights of {PACKAGE} "
                    f"({one_line(error)}); get them from {' and '.join(FILES.values())}"
                ) from error
        self.network.eval()

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        """The speech, spoken again."""
        del reference
        with _leaving_no_trace(), torch.no_grad():
            return at_own_rate(wave, sample_rate, self.rate_hz, self._channel)

    def _channel(self, channel: np.ndarray) -> np.ndarray:
        # the package fails on a last piece that is short, and loses one that is a little uneven
        last = len(channel) % self.segment_samples
        wanted = max(-(-last // self.hop_samples) * self.hop_samples, self.shortest_samples)
        missing = wanted - last if last or not len(channel) else 0
        network: Any = self.network
        made: np.ndarray = network.restore_inmem(
            np.pad(channel, (0, missing)),
            cuda=False,
            mode=self.config.mode,
            your_vocoder_func=self._speak,
        )
        return made.reshape(-1)[: len(channel)]

    def _speak(self, mel: Tensor) -> Tensor:
        """The vocoder's wave for mel frames (1, 1, frames, bands), without what it adds."""
        network: Any = self.network
        wave: Tensor = network._model.vocoder(mel, cuda=False)
        return wave[..., : (mel.shape[-2] - 1) * self.hop_samples]


def _find_weights(folder: str | None) -> tuple[Path, ...]:
    """The two files of weights; raises `BundleError` with the names of those that are not there."""
    home = Path.home() / EXPECTED
    place = home if folder is None else Path(folder).expanduser()
    found = []
    missing = []
    for file, source in FILES.items():
        there = next((path for path in (place / file, place / file.name) if path.is_file()), None)
        if there is None:
            missing.append(f"{file} ({source})")
        else:
            found.append(there.resolve())
    if missing:
        raise BundleError(
            f"no {' and no '.join(missing)} in {place}; nothing is downloaded: put the weights "
            f"there, {PACKAGE} itself keeps them in {home}, or say weights=FOLDER"
        )
    return tuple(found)


@contextlib.contextmanager
def _home_with(files: tuple[Path, ...]) -> Iterator[None]:
    """Let the package find the weights: it looks below the home folder, and nowhere else.

    Files that lie where it looks are left there; others are linked from a home for the moment.
    """
    home = Path.home() / EXPECTED
    if all((home / file).resolve() == path for file, path in zip(FILES, files, strict=True)):
        yield
        return
    with tempfile.TemporaryDirectory() as moment:
        for file, path in zip(FILES, files, strict=True):
            link = Path(moment) / EXPECTED / file
            link.parent.mkdir(parents=True)
            link.symlink_to(path)
        os.environ["HOME"] = os.environ["USERPROFILE"] = moment  # put back by the caller
        yield


@contextlib.contextmanager
def _leaving_no_trace() -> Iterator[None]:
    """Undo what the package does to the process: variables, warnings, chance, and print.

    It sets a variable when it is imported, draws weights before it loads them, and prints a warning
    for loud speech.
    """
    before = dict(os.environ)
    quiet = io.StringIO()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(quiet),
            torch.random.fork_rng(devices=[]),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
