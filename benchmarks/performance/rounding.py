"""What is heard of computing in bfloat16."""

import warnings
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from selfremaster.benchmarks.performance.comparing import Options, Section
from selfremaster.benchmarks.tables import NOTHING, markdown
from selfremaster.benchmarks.timing import apart
from selfremaster.core.errors import ComponentError
from selfremaster.core.gallery import example_speech
from selfremaster.core.interfaces import Metric
from selfremaster.core.models import Model
from selfremaster.registry.assembling import load
from selfremaster.registry.building import build

DAMAGE = "band-limit"
BUILTIN = "default"
SPEAKERS = {  # what speaks, and by which option
    "blend": "as it comes",
    "input-phase": "`--vocoder input-phase`",
    "": "`--resynthesise`",
}
SUFFIXES = {".flac", ".wav"}
LOUD_DB = 60.0  # below the loudest, what counts of a log-mel
DB_OF_NEPER = 8.686


class Heard(NamedTuple):
    """How a result in bfloat16 differs from one in float32."""

    wave_db: float  # the difference, below the sound
    mel_db: float  # of the loud part of the log-mel, on average
    quality: tuple[float, float] | None  # DistillMOS of both


def measure(options: Options) -> Section:
    """The table of what speaks."""
    rows = []
    for name, option in SPEAKERS.items():
        heard = apart(heard_of, name, options.speech)
        quality = [f"{one:.3f}" for one in heard.quality] if heard.quality else [NOTHING] * 2
        rows.append([option, f"{heard.wave_db:.1f}", f"{heard.mel_db:.3f}", *quality])
    heading = [
        f"`restore --model {BUILTIN}`",
        "difference of waves, dB",
        "of log-mels, dB",
        "DistillMOS, fp32",
        "bf16",
    ]
    about = (
        f"The model `{BUILTIN}` on speech through `{DAMAGE}`, in bfloat16 against float32: the "
        "difference of the waves against the sound, and how far the log-mels are apart on average "
        f"(within {LOUD_DB:g} dB of the loudest). Where a vocoder speaks anew, a pitch that is "
        "heard a hair differently moves the phase, which the waves show and nobody hears. `-`: the "
        "package distillmos is not there."
    )
    return Section("What bfloat16 changes", about, markdown(heading, rows))


def heard_of(speaker: str, speech: Path) -> Heard:
    """The means over all files."""
    warnings.simplefilter("ignore")
    model: Model = load(BUILTIN, output=speaker or None)
    if not speaker:
        model.output = None
    try:
        metric: Metric | None = build("metric", "distillmos")
    except ComponentError:
        metric = None
    found = [_compared(model, *damaged(path), metric) for path in files_of(speech)]
    both = [one.quality for one in found if one.quality]
    quality = (_mean([a for a, _ in both]), _mean([b for _, b in both])) if both else None
    return Heard(
        _mean([one.wave_db for one in found]), _mean([one.mel_db for one in found]), quality
    )


def files_of(speech: Path) -> list[Path]:
    """The file, or those of a folder."""
    if speech.is_file():
        return [speech]
    return sorted(path for path in speech.rglob("*") if path.suffix in SUFFIXES)


def damaged(path: Path) -> tuple[Tensor, int]:
    """Speech through the damage, the same each time, and its rate in Hz."""
    wave, rate = example_speech(path)
    made, _ = build("degradation", DAMAGE)(wave[None], Generator().manual_seed(0), rate)
    return made, rate


def _compared(model: Model, wave: Tensor, rate: int, metric: Metric | None) -> Heard:
    restored = []
    for precision in ("fp32", "bf16"):
        model.precision = precision
        restored.append(model.restore(wave, rate))
    exact, rounded = restored
    wave_db = 10 * float(((rounded - exact).square().mean() / exact.square().mean()).log10())
    levels = [model.features.log_mel(one) for one in restored]
    loud = levels[0] > levels[0].max() - LOUD_DB / DB_OF_NEPER
    mel_db = DB_OF_NEPER * float((levels[0] - levels[1]).abs()[loud].mean())
    if metric is None:
        return Heard(wave_db, mel_db, None)
    (first, second) = (next(iter(metric.compute(one[0], rate).values())) for one in restored)
    return Heard(wave_db, mel_db, (first, second))


def _mean(numbers: list[float]) -> float:
    return float(torch.tensor(numbers).mean())
