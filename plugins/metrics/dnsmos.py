"""DNSMOS, listeners' opinion of speech, background and both as small networks predict it."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.levels import resample
from selfremaster.core.loudness import loudness_gain
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, folder_of, require, single
from selfremaster.plugins.metrics.power_mels import power_mel

RATE_HZ = 16000
PIECE_SECONDS = 9.01
PIECE_SAMPLES = int(PIECE_SECONDS * RATE_HZ)
HOP_SAMPLES, WINDOW_SAMPLES, BANDS = 160, 321, 120
LEAST_POWER, RANGE_DB = 1e-10, 80.0
# what the second network says of the speech, the background and both, as polynomials of its three
# numbers, highest power first: the scale of the listeners of P.835
OPINIONS: Mapping[str, tuple[float, float, float]] = {
    "dnsmos-sig": (-0.08397278, 1.22083953, 0.0052439),
    "dnsmos-bak": (-0.13166888, 1.60915514, -0.39604546),
    "dnsmos-ovrl": (-0.06766283, 1.11546468, 0.04602535),
}


class DnsmosConfig(ComponentConfig):
    """Settings of `Dnsmos`."""

    loudness_lufs: Annotated[
        float | None,
        Field(ge=-60, le=0, description="bring the wave to this loudness first; none: as it is"),
    ] = None
    step_seconds: Annotated[
        int, Field(ge=1, le=9, description="distance of the pieces that long waves are judged in")
    ] = 1


class Dnsmos(Metric):
    """Predict how listeners would rate the speech, what is behind it, and both, from 1 to 5.

    ``dnsmos-p808`` is the opinion of the whole by listeners of ITU-T P.808; ``dnsmos-sig``,
    ``dnsmos-bak`` and ``dnsmos-ovrl`` those of the speech, the background and both by P.835. Rate:
    the wave is brought to 16000 Hz, so nothing above 8000 Hz counts. Gain: counts for the last
    three (half as loud moves them by up to 0.2, a tenth by half a point), unless ``loudness_lufs``
    takes it out; samples beyond full scale are cut off, as playing does. Lag: has nearly no
    influence. Waves are judged in pieces of 9.01 seconds, one each second, whose scores are
    averaged; shorter ones are repeated. A silent wave gives no number.

    Shape: waves (samples,) -> {"dnsmos-p808", "dnsmos-sig", "dnsmos-bak", "dnsmos-ovrl": higher is
    better}.
    Source: Reddy et al., "DNSMOS" (ICASSP 2021) and "DNSMOS P.835" (ICASSP 2022), by the weights in
    the package speechmos, run by onnxruntime on one thread.
    Raises `ComponentError` without the packages.
    """

    Config = DnsmosConfig
    config: DnsmosConfig
    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "dnsmos-p808": "higher",
        **dict.fromkeys(OPINIONS, "higher"),
    }
    packages: ClassVar[tuple[str, ...]] = ("speechmos", "onnxruntime")
    needs_reference: ClassVar[bool] = False

    def __init__(self, config: DnsmosConfig) -> None:
        super().__init__(config)
        gain: Literal["removed", "counts"] = "counts" if config.loudness_lufs is None else "removed"
        self.policy = Policy(rate_hz=RATE_HZ, gain=gain, lag="removed")
        runtime = require("onnxruntime")
        # its own import of librosa takes seconds, for one spectrogram
        folder = folder_of("speechmos", "pip install 'selfremaster[metrics]'") / "dnsmos_models"
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.of_mel, self.of_wave = (
            runtime.InferenceSession(
                str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
            )
            for name in ("model_v8", "sig_bak_ovr")
        )

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The predicted opinions."""
        del reference
        wave = resample(single(estimate), sample_rate, RATE_HZ)
        if not wave.any():
            return dict.fromkeys(self.directions, NOT_A_NUMBER)
        if self.config.loudness_lufs is not None:
            wave = wave * loudness_gain(wave, RATE_HZ, self.config.loudness_lufs)
        wave = wave.clamp(-1, 1)
        doublings = max(math.ceil(math.log2(PIECE_SAMPLES / len(wave))), 0)
        wave = wave.repeat(2**doublings)
        # as the package counts them: by whole seconds of the wave
        last = int(len(wave) // RATE_HZ - PIECE_SECONDS)
        starts = range(0, RATE_HZ * last + 1, RATE_HZ * self.config.step_seconds)
        scores = [self._score(wave[start : start + PIECE_SAMPLES]) for start in starts]
        return {name: float(np.mean([score[name] for score in scores])) for name in self.directions}

    def _score(self, piece: Tensor) -> dict[str, float]:
        mel = power_mel(piece[:-HOP_SAMPLES], RATE_HZ, WINDOW_SAMPLES, HOP_SAMPLES, BANDS)
        levels = 10 * mel.clamp(min=LEAST_POWER).log10()
        levels = (levels - levels.max()).clamp(min=-RANGE_DB)
        whole = _run(self.of_mel, ((levels + 40) / 40).numpy())
        said = _run(self.of_wave, piece.numpy())
        return {"dnsmos-p808": float(whole[0])} | {
            name: float(np.polyval(opinion, number))
            for (name, opinion), number in zip(OPINIONS.items(), said, strict=True)
        }


def _run(network: Any, given: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a network says of one input."""
    found: NDArray[np.float32] = network.run(None, {"input_1": given[None]})[0][0]
    return found
