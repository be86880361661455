"""Speaker similarity, whether it is still the same voice."""

import math
from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from selfremaster.core.components import ComponentConfig
from selfremaster.core.interfaces import Metric, Policy
from selfremaster.core.levels import resample
from selfremaster.plugins.metrics.pairs import NOT_A_NUMBER, folder_of, pair
from selfremaster.plugins.metrics.power_mels import power_mel

RATE_HZ = 16000
LEVEL_DB = -30.0
SHORTEST_SECONDS = 0.25
WINDOW_SAMPLES, HOP_SAMPLES, BANDS = 400, 160, 40
PIECE_FRAMES, STEP_FRAMES = 160, 77  # 1.6 seconds, 1.3 times a second
LEAST_FILLED = 0.75  # of the last piece, or it is left out
SIZE, LAYERS = 256, 3
# what the package asks for beside its weights needs a C compiler, and is not needed here
REMEDY = "pip install --no-deps resemblyzer"


class SpeakerSimilarity(Metric):
    """Hear whether it is the same voice: 1 is the same, other people have 0.5 to 0.8.

    The cosine of the angle between what a network that tells speakers apart makes of both waves.
    Rate: both waves are brought to 16000 Hz, so nothing above 8000 Hz counts. Gain: taken out; both
    are given an RMS level of -30 dBFS. Lag: has nearly no influence. The network judges pieces of
    1.6 seconds, whose answers are averaged; pauses are not cut out. Less than a quarter of a second
    and silence give no number.

    Shape: waves (samples,) -> {"speaker-similarity": from 0 to 1, higher is better}.
    Source: Wan et al., "Generalized end-to-end loss for speaker verification" (ICASSP 2018), with
    the weights in the package resemblyzer.
    Raises `ComponentError` without the package, or without a reference.
    """

    directions: ClassVar[Mapping[str, Literal["higher", "lower"]]] = {
        "speaker-similarity": "higher"
    }
    ideal: ClassVar[Mapping[str, float]] = {"speaker-similarity": 1.0}
    packages: ClassVar[tuple[str, ...]] = ("resemblyzer",)
    policy = Policy(rate_hz=RATE_HZ, gain="removed", lag="removed")

    def __init__(self, config: ComponentConfig) -> None:
        super().__init__(config)
        weights = folder_of("resemblyzer", REMEDY) / "pretrained.pt"
        state = torch.load(weights, map_location="cpu", weights_only=True)["model_state"]
        with torch.device("meta"):  # its weights are drawn otherwise, to be thrown away
            layers = nn.ModuleDict(
                {
                    "lstm": nn.LSTM(BANDS, SIZE, LAYERS, batch_first=True),
                    "linear": nn.Linear(SIZE, SIZE),
                }
            )
        known = {name: state[name] for name in layers.state_dict()}
        layers.load_state_dict(known, assign=True)
        self.network = layers.eval().requires_grad_(False)

    def compute(
        self, estimate: Tensor, sample_rate: int, reference: Tensor | None = None
    ) -> dict[str, float]:
        """The cosine."""
        heard, clean = (self.embed(wave, sample_rate) for wave in pair(estimate, reference))
        cosine = float(heard @ clean)
        return {"speaker-similarity": min(cosine, 1.0)}

    def embed(self, wave: Tensor, sample_rate: int) -> Tensor:
        """The voice as a direction, (samples,) -> (256,), of length 1; NaN for none."""
        wave = resample(wave, sample_rate, RATE_HZ)
        level = wave.double().square().mean().sqrt()
        if len(wave) < SHORTEST_SECONDS * RATE_HZ or level == 0:
            return torch.full((SIZE,), NOT_A_NUMBER, dtype=torch.float64)
        starts = _starts(len(wave))
        missing = (starts[-1] + PIECE_FRAMES) * HOP_SAMPLES - len(wave)
        wave = functional.pad(
            (wave * (10 ** (LEVEL_DB / 20) / level)).float(), (0, max(missing, 0))
        )
        mel = power_mel(wave, RATE_HZ, WINDOW_SAMPLES, HOP_SAMPLES, BANDS)
        pieces = torch.stack([mel[start : start + PIECE_FRAMES] for start in starts])
        with torch.no_grad():
            _, (hidden, _) = self.network["lstm"](pieces)
            answers = functional.normalize(self.network["linear"](hidden[-1]).relu(), dim=-1)
        return functional.normalize(answers.mean(dim=0).double(), dim=0)


def _starts(samples: int) -> range:
    """The frames at which pieces begin.

    >>> list(_starts(40000))
    [0, 77]
    """
    frames = math.ceil((samples + 1) / HOP_SAMPLES)
    starts = range(0, max(1, frames - PIECE_FRAMES + STEP_FRAMES + 1), STEP_FRAMES)
    filled = samples / HOP_SAMPLES - starts[-1]
    return starts[:-1] if len(starts) > 1 and filled < LEAST_FILLED * PIECE_FRAMES else starts
