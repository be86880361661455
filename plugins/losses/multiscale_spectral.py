"""The reconstruction loss of the paper: spectra at several resolutions."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Loss
from selfremaster.core.signals import hann_window, stft

Size = Annotated[int, Field(ge=8, le=65536, multiple_of=4)]


class MultiscaleSpectralConfig(ComponentConfig):
    """Settings of `MultiscaleSpectral`; ``v1`` and ``v2`` are the published ones."""

    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "v1": {"sizes": (2048, 512, 256, 128, 64), "eps": 1e-10},
        "v2": {"sizes": (2048, 1024, 512, 256, 128, 64), "eps": 1e-5},
    }

    preset: Annotated[
        Literal["v1", "v2"],
        Field(
            description="v1: Interspeech 2022, ill-conditioned near silence; v2: IEEE Access 2024"
        ),
    ] = "v2"
    sizes: Annotated[
        tuple[Size, ...],
        Field(
            min_length=1, description="FFTs and windows, samples; frames are a quarter of it apart"
        ),
    ] = (2048, 1024, 512, 256, 128, 64)
    eps: Annotated[
        float,
        Field(gt=0, le=1, description="power that is added before the log; the floor of hearing"),
    ] = 1e-5
    linear: Annotated[
        bool, Field(description="count the distance of the powers themselves, too")
    ] = True
    log_weight: Annotated[
        float, Field(ge=0, description="weight of the distance of the log powers (gamma)")
    ] = 1.0
    scale_weighting: Annotated[
        Literal["sum", "equal"],
        Field(
            description="of the linear term: sum the sizes as published, where the longest "
            "rules; or weigh each by 1 / size, which makes them equal"
        ),
    ] = "sum"

    @model_validator(mode="after")
    def _check_that_something_counts(self) -> "MultiscaleSpectralConfig":
        if not self.linear and self.log_weight == 0:
            raise ValueError(
                "linear=false and log_weight=0 leave nothing to compare; set one of them"
            )
        return self


class MultiscaleSpectral(Loss):
    """Hear how far two waves are apart in their spectra, coarse and fine, loud and quiet parts.

    The sum over the sizes of mean |S - T| + log_weight * mean |log(S + eps) - log(T + eps)|, with S
    and T the power spectrograms: periodic Hann window, hop a quarter of it, frames centred with
    reflection, natural logarithm. Waves too short for reflection are padded with silence.

    Shape: two waves (batch, samples), the longer one cut to the shorter -> scalar.
    Source: SelfRemaster (Interspeech 2022), section 3.3; v2: IEEE Access 2024.
    Raises `ComponentError` for waves of different batches.

    One sample of 2 beneath a window's top has the power 4 in every bin, against silence's 0:

    >>> power = MultiscaleSpectral(MultiscaleSpectralConfig(sizes=[8], log_weight=0))
    >>> power(torch.tensor([[2.0]]), torch.tensor([[0.0]])).item()
    4.0
    """

    Config = MultiscaleSpectralConfig
    config: MultiscaleSpectralConfig

    def __init__(self, config: MultiscaleSpectralConfig) -> None:
        super().__init__(config)
        mean_size = sum(config.sizes) / len(config.sizes)
        equal = config.scale_weighting == "equal"
        # the power of a Hann frame grows with its length
        self._linear_weights = [mean_size / size if equal else 1.0 for size in config.sizes]

    def forward(self, estimate: Tensor, target: Tensor) -> Tensor:
        """The spectral distance of the estimate from the target."""
        if estimate.shape[:-1] != target.shape[:-1]:
            raise ComponentError(
                f"an estimate of shape {tuple(estimate.shape)} and a target of "
                f"{tuple(target.shape)} are not of one batch; give as many waves of each"
            )
        samples = min(estimate.shape[-1], target.shape[-1])
        with torch.autocast(estimate.device.type, enabled=False):
            found, wanted = (_at_least_single(wave[..., :samples]) for wave in (estimate, target))
            losses = [
                self._at_size(found, wanted, size, weight)
                for size, weight in zip(self.config.sizes, self._linear_weights, strict=True)
            ]
            return torch.stack(losses).sum()

    def _at_size(self, estimate: Tensor, target: Tensor, size: int, linear_weight: float) -> Tensor:
        found, wanted = (_power(wave, size) for wave in (estimate, target))
        eps = self.config.eps
        loss = found.new_zeros(())
        if self.config.linear:
            loss = loss + linear_weight * (found - wanted).abs().mean()
        if self.config.log_weight:
            distance = ((found + eps).log() - (wanted + eps).log()).abs().mean()
            loss = loss + self.config.log_weight * distance
        return loss


def _at_least_single(wave: Tensor) -> Tensor:
    return wave if wave.dtype == torch.float64 else wave.float()


def _power(wave: Tensor, size: int) -> Tensor:
    # a window made in float32, as published: in float64 v1 hears even that last digit of it
    window = hann_window(size, wave.device).to(wave.dtype)
    spectrum = stft(wave, size, size // 4, window)
    return spectrum.real.square() + spectrum.imag.square()
