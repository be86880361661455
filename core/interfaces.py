"""The nine kinds of part; the docstring of each base class is the contract of the kind.

A part is one class, its settings one `ComponentConfig`, its entry one line in a table. Parts
receive built parts: a setting marked as a part (`LossSpec`, `VocoderSpec`, ...) arrives in the
constructor as a keyword of the same name. The promises that every part of a kind keeps are
functions in `selfremaster.core.promises`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, Self

import torch
from torch import Generator, Tensor, nn

from selfremaster.core.components import (
    ComponentConfig,
    ComponentSpec,
    DegradationSpec,
    FeaturesSpec,
    LossSpec,
    MetricSpec,
    ModelReference,
    PartOf,
    VocoderSpec,
    default_part,
)
from selfremaster.core.errors import ComponentError

if TYPE_CHECKING:
    from selfremaster.core.models import Model

__all__ = [
    "AnalysisOutput",
    "Analyzer",
    "Channel",
    "Component",
    "ComponentConfig",
    "ComponentSpec",
    "Degradation",
    "DegradationSpec",
    "Features",
    "FeaturesSpec",
    "Loss",
    "LossSpec",
    "Metric",
    "MetricSpec",
    "ModelReference",
    "Objective",
    "Parameters",
    "PartOf",
    "QualityPredictor",
    "Restorer",
    "StepContext",
    "StepLosses",
    "Vocoder",
    "VocoderSpec",
    "default_part",
]

Parameters = Mapping[str, Any]
"""What a degradation drew for one wave: plain JSON values, enough to replay it."""


class Component:
    """What parts of every kind share: a kind, settings, and the settings they were built with."""

    kind: ClassVar[str]
    Config: ClassVar[type[ComponentConfig]] = ComponentConfig
    config: ComponentConfig
    origin: str = ""  # its kind, name and plugin in words, once it is built by name


class Features(Component, nn.Module):
    """Describe speech by frames: what the analysis module predicts and the vocoder speaks from.

    One object serves both, so that they cannot disagree about where a frame lies. Frame k is
    centred on sample k * hop_samples; a wave has 1 + samples // hop_samples frames.

    Its rows are the source rows, which are taken from the degraded wave itself (such as F0; many
    parts have none), followed by the target rows, which the analysis module predicts. ``cached``
    parts are too slow to be computed anew in every step: a training run computes their rows once a
    file, on the processor, and keeps them beside the manifest.

    Shape: wave (batch, samples) -> speech features (batch, channels, frames).
    """

    kind = "features"
    cached: ClassVar[bool] = False
    sample_rate: int  # Hz
    hop_samples: int
    channels: int  # what the vocoder is given
    mel_bands: int  # what the analysis module reads
    predicted_channels: int  # what the analysis module predicts

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, wave: Tensor) -> Tensor:
        """Speech features of a wave, (batch, samples) -> (batch, channels, frames)."""
        raise NotImplementedError

    def log_mel(self, wave: Tensor) -> Tensor:
        """What the analysis module reads, (batch, samples) -> (batch, mel_bands, frames)."""
        raise NotImplementedError

    @property
    def silence(self) -> float:
        """The log-mel value of no sound, which frames are padded with."""
        raise NotImplementedError

    @property
    def source_channels(self) -> int:
        """How many rows are taken from the degraded wave."""
        return self.channels - self.predicted_channels

    def source(self, wave: Tensor) -> Tensor:
        """The source rows alone, (batch, samples) -> (batch, source_channels, frames)."""
        return wave.new_zeros(wave.shape[0], 0, self.frames(wave.shape[-1]))

    def target(self, wave: Tensor) -> Tensor:
        """The target rows alone, (batch, samples) -> (batch, predicted_channels, frames)."""
        return self.predicted(self(wave))

    def predicted(self, features: Tensor) -> Tensor:
        """The target rows of the features, (batch, predicted_channels, frames)."""
        return features[:, self.source_channels :]

    def complete(
        self, predicted: Tensor, wave: Tensor, known_source: Tensor | None = None
    ) -> Tensor:
        """Set the source rows of the degraded wave before the prediction.

        Shape: (batch, predicted_channels, frames), (batch, samples) -> (batch, channels, frames).
        ``known_source`` (batch, source_channels, frames) saves computing them.
        """
        if self.source_channels == 0:
            return predicted
        source = self.source(wave) if known_source is None else known_source
        return torch.cat([source.to(predicted.dtype), predicted], dim=1)

    def rough(self, log_mel: Tensor) -> Tensor | None:
        """The target rows as far as the log-mel itself tells them, for analyzers to begin with.

        Shape: (batch, mel_bands, frames) -> (batch, predicted_channels, frames), or none.
        """
        del log_mel
        return None

    def at_gain(self, target: Tensor, gain: Tensor) -> Tensor:
        """The target rows of the wave times a gain; ``cached`` parts have it.

        Shape: (batch, predicted_channels, frames), (batch,) -> (batch, predicted_channels, frames).
        """
        raise NotImplementedError

    def frames(self, samples: int) -> int:
        """How many frames a wave of so many samples has."""
        return 1 + samples // self.hop_samples


class AnalysisOutput(NamedTuple):
    """What the analysis module found in a recording."""

    features: Tensor  # clean speech features (batch, predicted_channels, frames)
    channel_features: Tensor  # the sound of the recording (batch, channel_dim), or one each time


class Analyzer(Component, nn.Module):
    """The analysis module: hear what was said, and how the recording coloured it.

    Shape: log-mel (batch, mel_bands, frames) -> features (batch, predicted_channels, frames) and
    channel features (batch, channel_dim). Any number of frames from 1 is taken.

    An analyzer that is ``over_time`` gives channel features (batch, channel_dim, times) instead,
    the times spread evenly over the recording, one at least.
    """

    kind = "analyzer"
    channel_dim: int
    over_time: bool = False

    def __init__(self, config: ComponentConfig, features: Features) -> None:
        super().__init__()
        self.config = config
        self.mel_bands = features.mel_bands
        self.predicted_channels = features.predicted_channels
        self.silence = features.silence

    def forward(self, log_mel: Tensor) -> AnalysisOutput:
        """Clean speech features and channel features of a degraded recording."""
        raise NotImplementedError

    def predict(self, log_mel: Tensor) -> Tensor:
        """The clean speech features alone, for where the channel features are not needed."""
        features: Tensor = self(log_mel).features
        return features

    def channel_parameters(self) -> list[nn.Parameter]:
        """The parameters that only the channel features depend on; none by default."""
        return []


class Vocoder(Component, nn.Module):
    """The synthesis module: speak the features.

    Shape: features (batch, channels, frames) -> wave (batch, frames * hop_samples), where frame k
    describes the sound around sample k * hop_samples, so that the caller only cuts the end off.
    ``source`` (batch, samples) is the degraded wave, for vocoders that use it; those that cannot
    do without say ``needs_source = True`` and raise `ComponentError` when it is missing.
    Those that speak only in part say ``needs_filling = True`` and take a third argument,
    ``filling`` (batch, samples): the wave that the model's own vocoder speaks from the same
    features. They can be the output of a model, never its vocoder.
    ``differentiable`` says whether gradients reach the features, which learning needs.
    ``default_features`` is what it is built for where nobody says which.
    ``rounding`` is how far the wave may lie, as a part of its largest number, from the one that
    another program makes, which rounds in other places.
    """

    kind = "vocoder"
    default_features: ClassVar[str] = "mel"
    needs_source: ClassVar[bool] = False
    needs_filling: ClassVar[bool] = False
    differentiable: ClassVar[bool] = True
    rounding: ClassVar[float] = 1e-4

    def __init__(self, config: ComponentConfig, features: Features) -> None:
        super().__init__()
        self.config = config
        self.channels = features.channels
        self.hop_samples = features.hop_samples
        self.sample_rate = features.sample_rate

    def forward(self, features: Tensor, source: Tensor | None = None) -> Tensor:
        """The wave that the speech features describe."""
        raise NotImplementedError

    def own_losses(self, features: Tensor, wave: Tensor) -> Mapping[str, Tensor]:
        """What the vocoder has to learn beside the sound, such as F0, by name; each a scalar.

        Shape: features (batch, channels, frames) of the waves (batch, samples).
        """
        del features, wave
        return {}

    def portable(self) -> nn.Module:
        """What says the same by operations that other programs have: what `export` writes."""
        return self

    def check(self, features: Tensor) -> None:
        """Raise `ComponentError` where a tensor is no features of the channels it was built for."""
        if features.ndim != 3 or features.shape[1] != self.channels:
            raise ComponentError(
                f"features of shape {tuple(features.shape)}; this vocoder takes "
                f"(batch, {self.channels}, frames)"
            )


class Channel(Component, nn.Module):
    """The channel module: put the sound of a recording onto a clean wave.

    Shape: wave (batch, samples), channel features (batch, channel_dim) -> wave (batch, samples).
    Any number of samples from 1 is taken; nothing is delayed. A channel module that is
    ``over_time`` takes channel features (batch, channel_dim, times) as well.
    """

    kind = "channel"
    over_time: bool = False

    def __init__(self, config: ComponentConfig, channel_dim: int) -> None:
        super().__init__()
        self.config = config
        self.channel_dim = channel_dim

    def forward(self, wave: Tensor, channel_features: Tensor) -> Tensor:
        """The wave as the recording would have kept it."""
        raise NotImplementedError


class Degradation(Component):
    """Damage a wave as recordings are damaged: draw the parameters first, then apply them.

    Shape: wave (batch, samples) -> (batch, samples), same dtype and device, full scale = 1; the
    input is not changed. `draw` gives the parameters of one wave as plain JSON values; `apply` is
    deterministic, so that a logged set of parameters replays the damage exactly. What a set does
    not name is taken from the settings.

    A part overrides `draw`, and `apply_one` (waves damaged alike) or `apply_each` (a set a wave).
    ``examples`` (caption -> part as text) says what shows it best, where its defaults do not.
    """

    kind = "degradation"
    examples: ClassVar[Mapping[str, str]] = MappingProxyType({})
    delay_samples: int = 0  # by how much the damaged wave lags, unless `delay_of` says otherwise
    moves_time: bool = False  # whether the lag changes on the way (speed), so that none can be told
    keeps_pairs: bool = True  # whether it lies by the clean wave but for the delay and slight sway
    differentiable: bool = False  # whether gradients reach the wave through `apply`
    adds_sound: bool = False  # whether silence comes out as something (hum, hiss, clicks)

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """Parameters for one wave at a rate (Hz); parts with nothing to draw give what they use."""
        raise NotImplementedError

    def draw_channels(
        self, generator: Generator, sample_rate: int, channels: int
    ) -> list[dict[str, Any]]:
        """Parameters for each channel of one recording: the same, unless a part tells them apart.

        The first channel's are those that `draw` gives.
        """
        return [self.draw(generator, sample_rate)] * channels

    def delay_of(self, parameters: Parameters, sample_rate: int) -> int:
        """By how many samples the damage that these parameters do lags.

        It is where damaged white noise is most like what it was: what cross-correlation finds.
        """
        del parameters, sample_rate
        return self.delay_samples

    def apply(
        self,
        wave: Tensor,
        parameters: Parameters | Sequence[Parameters],
        sample_rate: int = 22050,
    ) -> Tensor:
        """Damage the waves with these parameters: one set for all of them, or one for each.

        Mixed precision is left out of it. Shape: wave (batch, samples) -> (batch, samples).
        Raises `ComponentError` for what is no such wave, for a rate below 1 Hz, and when the number
        of sets is not the batch.
        """
        if not isinstance(wave, Tensor) or wave.ndim != 2 or not wave.is_floating_point():
            shape = tuple(wave.shape) if isinstance(wave, Tensor) else type(wave).__name__
            raise ComponentError(
                f"a wave of {getattr(wave, 'dtype', 'no dtype')}, {shape}; "
                "give a tensor of floating point, (batch, samples)"
            )
        if sample_rate < 1:
            raise ComponentError(f"sample_rate={sample_rate}; give the rate in Hz, 1 or more")
        sets = [parameters] * len(wave) if isinstance(parameters, Mapping) else parameters
        if len(sets) != len(wave):
            raise ComponentError(
                f"{len(sets)} parameter sets for {len(wave)} waves; give one, or one each"
            )
        if not torch.is_autocast_enabled(wave.device.type):
            return self.apply_each(wave, sets, sample_rate)
        # mixed precision is for networks; a filter or a resampler would be heard to round
        with torch.autocast(wave.device.type, enabled=False):
            return self.apply_each(wave, sets, sample_rate)

    def apply_each(
        self, wave: Tensor, parameters: Sequence[Parameters], sample_rate: int
    ) -> Tensor:
        """Damage each wave of a batch with parameters of its own."""
        if all(other == parameters[0] for other in parameters[1:]):
            return self.apply_one(wave, parameters[0], sample_rate) if parameters else wave.clone()
        return torch.cat(
            [
                self.apply_one(item[None], drawn, sample_rate)
                for item, drawn in zip(wave, parameters, strict=True)
            ]
        )

    def apply_one(self, wave: Tensor, parameters: Parameters, sample_rate: int) -> Tensor:
        """Damage every wave of a batch with the same parameters."""
        raise NotImplementedError

    def __call__(
        self, wave: Tensor, generator: Generator, sample_rate: int = 22050
    ) -> tuple[Tensor, list[dict[str, Any]]]:
        """Draw a set of parameters for each wave and apply them; gives both."""
        if not isinstance(generator, Generator):
            raise ComponentError(
                f"generator={generator!r}; give a torch.Generator, the only source of chance"
            )
        drawn = [self.draw(generator, sample_rate) for _ in range(wave.shape[0])]
        return self.apply(wave, drawn, sample_rate), drawn


class Loss(Component, nn.Module):
    """Say how far an estimate is from its target, as one number to be made small.

    Shape: for ``takes = "wave"`` two waves (batch, samples), for ``takes = "features"`` two maps
    (batch, channels, frames) -> scalar, at least 0 and finite for finite input. The longer input is
    cut to the shorter one. ``is_mean`` says that the loss of a batch is the mean of its items' own,
    so that the size of a batch does not change what is learned. Losses that judge the estimate by
    itself say ``needs_target = False``: of the target they take the length alone. ``sample_rate``
    is the rate in Hz that waves must have, where a loss counts on one.
    """

    kind = "loss"
    takes: ClassVar[Literal["wave", "features"]] = "wave"
    is_mean: ClassVar[bool] = True
    needs_target: ClassVar[bool] = True
    sample_rate: int | None = None

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__()
        self.config = config

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The distance of the estimate from the target."""
        raise NotImplementedError


class AdversarialLoss(Loss):
    """A loss that learns itself: its own parameters are discriminators.

    `forward` is the generator's side; `discriminator_loss` the side that the discriminators are
    trained by. Both take waves. The weights of the discriminators may hang on the whole batch.
    """

    is_mean: ClassVar[bool] = False

    def discriminator_loss(self, estimate: Tensor, target: Tensor) -> Tensor:
        """How badly the discriminators tell the estimate from the target."""
        raise NotImplementedError


@dataclass(frozen=True)
class StepContext:
    """Where a training run stands, and the only source of chance that an objective may use."""

    step: int  # updates done so far
    generator: Generator
    seed: int = 0
    first_item: int = 0  # the number, in the whole run, of the batch's first item
    stride: int = 1  # from item to item; the others are with other processes

    def item_generators(self, count: int) -> list[Generator]:
        """A source of chance for each item of the batch, the same whichever process has it."""
        return [
            Generator().manual_seed((self.seed + self.first_item + self.stride * item) % 2**63)
            for item in range(count)
        ]


@dataclass(frozen=True)
class StepLosses:
    """One update of an objective: which parameters it moves, and by which losses."""

    total: Tensor
    parts: Mapping[str, Tensor] = field(default_factory=dict)
    update: str = "model"


class Objective(Component, nn.Module):
    """What is learned from a batch: which waves it needs, which modules move, by which losses.

    ``streams`` names the waves that a batch holds, each (batch, samples) at the model's rate:
    "degraded" (recordings to learn from), "clean" (any clean speech, unrelated to them),
    "paired_degraded" and "paired_clean" (the same speech twice). ``needs`` says what else of a
    stream is asked for, by words: "source" and "target" (the rows of the speech features, which
    `Model.source`, `target` and `speech` take from the batch or compute), "label" (an integer that
    the manifest gives the file, under "STREAM/label" in the batch, (batch,)).
    ``trained`` names the modules of the model that are trained; the others are frozen and kept in
    evaluation mode. ``uses`` names those of them that it needs as they are, which must have been
    trained before; ``passes_through`` those that gradients must pass on the way to what is trained.
    All may be set by the constructor. `updates` says which parameters each of
    the optimizers moves; `losses` yields one `StepLosses` for every one of them, or for those whose
    turn it is, and the trainer steps between two yields.
    """

    kind = "objective"
    streams: tuple[str, ...] = ("clean",)
    needs: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    trained: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    passes_through: tuple[str, ...] = ()

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__()
        self.config = config

    def updates(self, model: "Model") -> dict[str, list[nn.Parameter]]:
        """The parameters of every optimizer, by the name of the update."""
        return {
            "model": [
                parameter
                for name in self.trained
                for parameter in getattr(model, name).parameters()
            ]
        }

    def losses(
        self, model: "Model", batch: Mapping[str, Tensor], context: StepContext
    ) -> Iterator[StepLosses]:
        """The losses of one batch, one update after another; all chance comes from the context."""
        raise NotImplementedError

    def validation_losses(
        self, model: "Model", batch: Mapping[str, Tensor], context: StepContext
    ) -> Mapping[str, Tensor]:
        """Named numbers on held-out speech, without gradient; ``total`` is the one to be small."""
        named: dict[str, Tensor] = {}
        for step in self.losses(model, batch, context):
            named |= step.parts
            named["total"] = step.total
        return named


class Policy(NamedTuple):
    """What a metric does about rate, level and lag before it measures.

    >>> str(Policy(rate_hz=16000, gain="removed", lag="counts"))
    'at 16000 Hz; gain is taken out; lag counts'
    """

    rate_hz: int | None = None  # both waves are brought to it; none: measured at their own rate
    gain: Literal["removed", "counts"] = "counts"  # whether an estimate twice as loud scores alike
    lag: Literal["removed", "counts"] = "counts"  # whether a late estimate scores alike

    def __str__(self) -> str:
        """In words, for reports."""
        rate = "at the rate of the waves" if self.rate_hz is None else f"at {self.rate_hz} Hz"
        words = {"removed": "is taken out", "counts": "counts"}
        return f"{rate}; gain {words[self.gain]}; lag {words[self.lag]}"


class Metric(Component):
    """Give named numbers that say how good a wave is.

    ``directions`` says for each of the numbers whether "higher" or "lower" is better, ``ideal``
    what a wave scores against itself (numbers without an ideal are left out), `policy` what is done
    about rate, gain and lag, and ``packages`` which others' programs measure (their versions are
    reported). `compute` takes waves (samples,) at one rate in Hz; ``needs_reference`` parts raise
    `ComponentError` without a reference. The longer wave is cut to the shorter one.
    """

    kind = "metric"
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {}
    ideal: ClassVar[Mapping[str, float]] = {}
    packages: ClassVar[tuple[str, ...]] = ()
    needs_reference: ClassVar[bool] = True
    policy: Policy = Policy()  # an instance may have its own, after its settings

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The numbers, by name."""
        raise NotImplementedError


class QualityPredictor(Metric, nn.Module):
    """A metric that is a network, and that a model can be taught by: gradients reach the wave.

    `score` says how good each wave sounds, up to ``best``, the top of the scale. It has no
    reference, one number, of which more is better, and is in evaluation mode always.
    """

    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {"quality": "higher"}
    needs_reference: ClassVar[bool] = False
    policy: Policy = Policy(lag="removed")  # nothing is late without a reference
    best: ClassVar[float]

    def __init__(self, config: ComponentConfig) -> None:
        nn.Module.__init__(self)
        Metric.__init__(self, config)

    def score(self, wave: Tensor, sample_rate: int) -> Tensor:
        """How good waves at a rate (Hz) sound, (batch, samples) -> (batch,)."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever is asked for."""
        del mode
        return super().train(False)

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The score of one wave (samples,); raises `ComponentError` for what is no wave."""
        del reference
        if estimate.ndim != 1 or not estimate.numel() or not torch.isfinite(estimate).all():
            raise ComponentError(
                f"estimate of shape {tuple(estimate.shape)}; give finite numbers (samples,), one "
                f"channel at a time"
            )
        (name,) = self.directions
        with torch.no_grad():
            found = self.eval().score(estimate.float()[None], sample_rate)
        return {name: float(found)}


class Restorer(Component):
    """Take a degraded wave and give a better one of the same length, rate and number of channels.

    Shape: wave (channels, samples) -> (channels, samples), float32, full scale = 1.
    ``needs_reference`` marks those that are told the clean original (ceilings, not restorers), and
    ``packages`` says which others' programs restore (their versions are reported).
    """

    kind = "restorer"
    packages: ClassVar[tuple[str, ...]] = ()
    needs_reference: ClassVar[bool] = False

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        """The better wave."""
        raise NotImplementedError


BASES: Mapping[str, type[Component]] = {
    base.kind: base
    for base in (
        Features,
        Analyzer,
        Vocoder,
        Channel,
        Degradation,
        Loss,
        Objective,
        Metric,
        Restorer,
    )
}
"""The base class of every kind."""
