"""A model: the parts put together, and what can be done with them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from selfremaster.core import guards
from selfremaster.core.effects import CHANNELS, Channels, Frame, Sent, sent_through
from selfremaster.core.errors import AudioError, BundleError, ComponentError
from selfremaster.core.interfaces import AnalysisOutput, Analyzer, Channel, Features, Vocoder
from selfremaster.core.precisions import Precision, computing
from selfremaster.core.signals import fit_length
from selfremaster.core.streaming import Held, Sound

if TYPE_CHECKING:
    from selfremaster.core.profiles import ChannelProfile

Wave = TypeVar("Wave", Tensor, np.ndarray)

ROWS_AT_ONCE = 2  # that speak together; more would need more memory
MOST_CHANNELS = 64  # of a wave that has fewer samples than channels


class Model(nn.Module):
    """The analysis, synthesis and channel modules with the features that they share.

    ``name`` is that of the experiment that made it.
    ``analyzer`` and ``channel`` are missing in a model that is a vocoder alone. ``output`` is the
    vocoder that speaks when a recording is restored, where it is another one than the vocoder that
    the model learned with. Raises `ComponentError` for a vocoder that speaks only in part, which
    can but be the output.
    """

    def __init__(
        self,
        features: Features,
        vocoder: Vocoder,
        analyzer: Analyzer | None = None,
        channel: Channel | None = None,
        output: Vocoder | None = None,
        peak_db: float = -3.0,
        name: str = "",
    ) -> None:
        super().__init__()
        if vocoder.needs_filling:
            raise ComponentError(
                f"vocoder {type(vocoder).__name__} speaks only in part, what it lacks another one "
                "must speak; make it the output of a model (model.output, or restore --vocoder) "
                "whose vocoder speaks alone, such as hifigan"
            )
        self.name = name
        self.features = features
        self.vocoder = vocoder
        self.analyzer = analyzer
        self.channel = channel
        self.output = output
        self.peak_db = peak_db
        self.precision: Precision = "fp32"  # that recordings are worked on in
        self.runners: Mapping[str, Callable[..., Tensor]] = {}  # what runs analyzer and vocoder

    @property
    def sample_rate(self) -> int:
        """The rate that the model works at, Hz."""
        return self.features.sample_rate

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        tensors = [*self.parameters(), *self.buffers()]
        return tensors[0].device if tensors else torch.device("cpu")

    @property
    def frame(self) -> Frame:
        """What the parts work at."""
        return Frame(self.sample_rate, self.features.hop_samples, self.peak_db, self.device)

    def inferring(self, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """The function without gradients, and with all parts as they are once they have learned."""

        def infer(piece: Tensor) -> Tensor:
            arithmetic = computing(self.precision, self.device)
            with torch.inference_mode(), evaluating(self), arithmetic:
                return function(piece)

        return infer

    def run_by(self, runtime: str) -> str:
        """Let ``torch``, ``compile`` or ``onnx`` run the networks; gives in a line what was done.

        See `runtimes.run_by`.
        """
        from selfremaster.core import runtimes  # which imports this module

        return runtimes.run_by(self, runtime)

    def analyse(self, wave: Tensor) -> AnalysisOutput:
        """What the analysis module hears in degraded waves (batch, samples) at the model's rate."""
        return guards.analysed(self._analysis_module(), guards.log_mel(self.features, wave))

    def predict(self, wave: Tensor) -> Tensor:
        """The clean speech features that the analysis module hears, without channel features."""
        return self._predicted(guards.log_mel(self.features, wave))

    def _predicted(self, log_mel: Tensor) -> Tensor:
        return guards.predicted(self._analysis_module(), log_mel, self.runners.get("analyzer"))

    def source(self, batch: Mapping[str, Tensor], stream: str) -> Tensor:
        """The source rows of a stream's waves: those in the batch, or computed now."""
        known = batch.get(f"{stream}/source")
        return self.features.source(batch[stream]) if known is None else known

    def target(self, batch: Mapping[str, Tensor], stream: str) -> Tensor:
        """What the analysis module should hear in a stream: given in the batch, or computed now."""
        known = batch.get(f"{stream}/target")
        return self.features.target(batch[stream]) if known is None else known

    def speech(self, batch: Mapping[str, Tensor], stream: str) -> Tensor:
        """The speech features of a stream's waves, (batch, channels, frames)."""
        if f"{stream}/target" in batch:
            target = batch[f"{stream}/target"]
            return self.features.complete(target, batch[stream], batch.get(f"{stream}/source"))
        features: Tensor = self.features(batch[stream])
        return features

    def _analysis_module(self) -> Analyzer:
        if self.analyzer is None:
            raise BundleError(
                "this model is a vocoder alone: it has no analysis module to restore with"
            )
        return self.analyzer

    def degrade(self, wave: Tensor, channel_features: Tensor) -> Tensor:
        """Clean waves with the sound of recordings, (batch, samples) at the model's rate."""
        if self.channel is None:
            raise BundleError("this model has no channel module to put the sound of a recording on")
        return guards.put_on(self.channel, wave, channel_features)

    def restore_segment(self, wave: Tensor, linked: bool = False) -> Tensor:
        """Restore degraded waves at the model's rate and level, (batch, samples) -> the same.

        ``linked`` ones are the channels of one recording, and changed alike.
        """
        log_mel = guards.log_mel(self.features, wave)
        predicted = self._predicted(log_mel)
        if linked and len(wave) > 1:
            predicted = self._alike(log_mel, predicted)
        rows = zip(
            torch.split(predicted, ROWS_AT_ONCE), torch.split(wave, ROWS_AT_ONCE), strict=True
        )
        return torch.cat(
            [
                self.speak(guards.completed(self.features, row, heard), heard, self.output)
                for row, heard in rows
            ]
        )

    def _alike(self, log_mel: Tensor, predicted: Tensor) -> Tensor:
        """Change all channels by as much, which is the mean of their changes by their power.

        What the channels differ by stays in the features. Those that the log-mel tells nothing of
        stay as predicted.

        Shape: (channels, mel_bands, frames), (channels, predicted_channels, frames) -> the latter.
        """
        rough = self.features.rough(log_mel)
        if rough is None:
            return predicted
        powers = (2 * (log_mel - log_mel.amax())).exp().sum(dim=1, keepdim=True)
        shares = powers / powers.sum(dim=0, keepdim=True).clamp(min=1e-30)
        change = (shares * (predicted - rough)).sum(dim=0, keepdim=True)
        return rough + change

    def speak(self, speech: Tensor, source: Tensor, vocoder: Vocoder | None = None) -> Tensor:
        """The wave of the speech features, as long as the source, (batch, samples).

        By default the model's own vocoder speaks, which also fills in for one that speaks in part.
        """
        speaker = vocoder or self.vocoder
        given = [speech, source]
        if speaker.needs_filling:
            given.append(self.speak(speech, source))
        runner = self.runners.get("vocoder") if speaker is self.vocoder else None
        return fit_length(guards.spoken(speaker, given, runner), source.shape[-1])

    def sent(
        self,
        function: Callable[[Tensor], Tensor],
        sound: Sound,
        *,
        channels: Channels = "independent",
        strength: float = 1.0,
        wanted_lufs: float | None = None,
        speakers: int | None = None,
        folder: Path | None = None,
    ) -> AbstractContextManager[Sent]:
        """A sound of any length after the function, as `effects.sent_through` gives it."""
        return sent_through(
            self.inferring(function),
            sound,
            self.frame,
            channels=channels,
            strength=strength,
            wanted_lufs=wanted_lufs,
            speakers=speakers,
            folder=folder,
        )

    def restore(
        self,
        wave: Wave,
        sample_rate: int,
        strength: float = 1.0,
        channels: Channels = "linked",
    ) -> Wave:
        """Restore a recording: same shape, length, rate, type and loudness as what was given.

        Strength 0 is the recording to the last bit, 1 the restored sound, and between them lies
        what goes so far from one to the other, in dB. ``linked`` channels are changed alike, so
        that each sound stays at its place between them, ``independent`` ones each by itself, and
        ``mono`` gives their mean, restored, as one channel. Long recordings go through piece by
        piece.

        Shape: (samples,) or (channels, samples), floating point, full scale = 1, rate in Hz.
        Raises `AudioError` for another shape or type, for samples that are no numbers, and for an
        empty wave; `ComponentError` for a strength outside 0 to 1 and for other channels.
        """
        check_dry_wet(strength)
        check_channels(channels)
        work = partial(self.restore_segment, linked=channels == "linked")
        return self.through(work, wave, sample_rate, channels, strength)

    def copy_synthesis(self, wave: Wave, sample_rate: int) -> Wave:
        """Send a clean wave through features and vocoder alone: the ceiling of any restoration.

        Shape and errors are those of `restore`.
        """

        def resynthesise(clean: Tensor) -> Tensor:
            return self.speak(self.features(clean), clean)

        return self.through(resynthesise, wave, sample_rate)

    def profile(self, recording: Wave, sample_rate: int, name: str = "") -> "ChannelProfile":
        """The sound of a recording: its mean channel features, to be put onto other waves.

        Shape and errors are those of `restore`.
        """
        from selfremaster.core import transferring  # which imports this module

        heard = transferring.hear(self, recording, sample_rate)
        return transferring.make_profile([heard], transferring.identify(self), name)

    def transfer(
        self, wave: Wave, sample_rate: int, profile: "ChannelProfile", strength: float = 1.0
    ) -> Wave:
        """Put the sound of a profile onto a wave: same shape, length, rate, type and level.

        Strength 0 is the wave itself, 1 the whole effect, up to 1.5 exaggerates. Shape and errors
        are those of `restore`; `ComponentError` for another strength, `BundleError` for a profile
        that another model made.
        """
        from selfremaster.core import transferring

        return transferring.transfer(self, wave, sample_rate, profile, strength)

    def redegrade(
        self, wave: Wave, sample_rate: int, profile: "ChannelProfile | None" = None
    ) -> Wave:
        """Restore a recording and put its sound back: what the model takes the recording for.

        The vocoder is the one that the model learned with; the channel features are the mean of
        the recording's own, or those of the profile, such as the mean of a speaker's recordings.
        Shape and errors are those of `restore` and `transfer`.
        """
        from selfremaster.core import transferring

        return transferring.redegrade(self, wave, sample_rate, profile)

    def through(
        self,
        function: Callable[[Tensor], Tensor],
        wave: Wave,
        sample_rate: int,
        channels: Channels = "independent",
        strength: float = 1.0,
    ) -> Wave:
        """Bring a wave to the model's rate and level, apply the function, and bring it back.

        See `effects.sent_through` for what the function may do.
        """
        made = self._through(function, check_wave(wave), sample_rate, channels, strength)
        if isinstance(wave, np.ndarray):
            return made.cpu().numpy().astype(wave.dtype)
        return made.to(wave)

    def _through(
        self,
        function: Callable[[Tensor], Tensor],
        given: Tensor,
        sample_rate: int,
        channels: Channels,
        strength: float,
    ) -> Tensor:
        if strength == 0 and channels != "mono":
            return given.clone()
        rows = given.reshape(-1, given.shape[-1])
        sound = Held(rows.float().cpu(), sample_rate)
        with self.sent(function, sound, channels=channels, strength=strength) as sent:
            made = torch.cat([*sent.sound.blocks()], dim=1)
        return made[0] if given.ndim == 1 else made


def check_channels(channels: str) -> None:
    """Raise `ComponentError` for what channels cannot be."""
    if channels not in CHANNELS:
        raise ComponentError(f"channels {channels!r}; allowed: {', '.join(CHANNELS)}")


def check_dry_wet(strength: float) -> None:
    """Raise `ComponentError` for a strength of restoring outside 0 to 1."""
    if not 0 <= strength <= 1:
        raise ComponentError(
            f"strength {strength:g}: give 0 (the recording as it is) to 1 (restored altogether)"
        )


def check_wave(wave: Tensor | np.ndarray) -> Tensor:
    """The wave as a tensor, (samples,) or (channels, samples); raises `AudioError`."""
    tensor = _from_numpy(wave) if isinstance(wave, np.ndarray) else wave
    if not isinstance(tensor, Tensor):
        raise AudioError(f"a wave in a {type(wave).__name__}; give a numpy array or a torch tensor")
    if tensor.ndim not in (1, 2):
        raise AudioError(
            f"a wave of shape {tuple(tensor.shape)}; give (samples,) or (channels, samples)"
        )
    if tensor.ndim == 2 and tensor.shape[0] > max(MOST_CHANNELS, tensor.shape[1]):
        channels, samples = tensor.shape
        raise AudioError(
            f"{channels} channels of {samples} samples; give (channels, samples), for what "
            "soundfile reads its transpose, wave.T"
        )
    if not tensor.is_floating_point():
        raise AudioError(f"a wave of {tensor.dtype}; give floating point with full scale 1")
    if tensor.numel() == 0:
        raise AudioError("0 samples of audio; nothing to restore")
    if not torch.isfinite(tensor).all():
        position = int((~torch.isfinite(tensor)).nonzero()[0, -1])
        raise AudioError(f"sample {position} is not a finite number; repair the wave first")
    return tensor.detach()


def _from_numpy(wave: np.ndarray) -> Tensor:
    """A tensor of the same numbers; a copy where torch cannot share them."""
    if wave.dtype.kind != "f" or wave.dtype.itemsize > 8:
        raise AudioError(f"a wave of {wave.dtype}; give float32 or float64 with full scale 1")
    native = wave.dtype.newbyteorder("=")
    return torch.from_numpy(np.require(wave, dtype=native, requirements=["C", "W", "E"]))


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Keep a module in evaluation mode inside the block, and put it back as it was."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True
