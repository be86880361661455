"""Writes metric_scores.json: what the original packages say of damaged speech in examples/.

Run once, from the root of the repository, in an environment of its own:

    python -m venv peers
    peers/bin/pip install "setuptools<81" auraloss==0.4.0 fastdtw==0.3.4 pesq==0.0.4 pymcd==0.2.1 \
        pyloudnorm==0.2.0 pystoi==0.4.1 pyworld==0.3.5 soundfile soxr torchmetrics==1.9.0
    peers/bin/python tests/reference/metric_scores.py

It uses nothing of this repository but the sounds. Where the packages differ from what is meant:
pymcd runs at 16000 Hz, without the 0th coefficient, which it would count, and on waves made so loud
that its floor does not matter; its numbers are twice the distortion, because it gives a power
spectrum to SPTK as an amplitude. ``mcd-sptk`` is SPTK's own conversion, order 24. auraloss has its
floor 80 dB below the loudest magnitude of the clean wave.
"""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import auraloss
import numpy as np
import pyloudnorm
import pysptk
import pyworld
import soundfile
import soxr
import torch
from fastdtw import fastdtw
from numpy.typing import NDArray
from pesq import pesq
from pymcd.mcd import Calculate_MCD
from pystoi import stoi
from scipy.spatial.distance import euclidean
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

ROOT = Path(__file__).resolve().parents[2]
PAIRS = ("alder/alder-1", "heart/heart-1", "heart/heart-3")
CLIPPED = "alder/alder-2"  # and noisy, made here
WARPED = "heart/heart-1"  # pure Python takes its time
RATE_HZ = 16000
LOUD = 1e6
DB_PER_UNIT = 10 * np.sqrt(2) / np.log(10)
PACKAGES = (
    "auraloss", "fastdtw", "pesq", "pyloudnorm", "pymcd", "pysptk", "pystoi", "pyworld",
    "torchmetrics",
)  # fmt: skip

Wave = NDArray[np.float64]


def read(pair: str) -> tuple[Wave, Wave, int]:
    """The degraded and the clean wave."""
    clean, rate = soundfile.read(ROOT / "examples" / "speech" / f"{pair}.flac")
    if pair == CLIPPED:
        noise = np.random.Generator(np.random.PCG64(7)).standard_normal(len(clean))
        return clean.clip(-0.1, 0.1) + 0.003 * noise, clean, rate
    heard, _ = soundfile.read(ROOT / "examples" / "degraded" / f"{pair}.flac")
    samples = min(len(heard), len(clean))
    return heard[:samples], clean[:samples], rate


def at_16_khz(wave: Wave, rate: int) -> Wave:
    """The wave at 16000 Hz, in the length that the toolkit gives it."""
    resampled = soxr.resample(wave.astype(np.float32), rate, RATE_HZ, quality="VHQ")
    length = (2 * len(wave) * RATE_HZ + rate) // (2 * rate)
    return np.pad(resampled, (0, max(0, length - len(resampled))))[:length].astype(np.float64)


def cepstra(wave: Wave) -> Wave:
    """The mel-cepstra of pymcd, without the 0th coefficient, (frames, 13)."""
    judge = Calculate_MCD(MCD_mode="plain")
    judge.SAMPLING_RATE = RATE_HZ
    return np.asarray(judge.wav2mcep_numpy(LOUD * wave, alpha=0.41, fft_size=1024))[:, 1:]


def distortion(heard: Wave, clean: Wave, path: Any) -> float:
    """The mean of pymcd over paired frames, dB."""
    judge = Calculate_MCD(MCD_mode="plain")
    frames, total = judge.calculate_mcd_distance(heard, clean, path)
    return float(judge.log_spec_dB_const * total / frames)


def sptk_cepstra(wave: Wave) -> Wave:
    """The mel-cepstra of WORLD's envelope by SPTK, without the 0th coefficient, (frames, 24)."""
    pitch = f0(wave)
    times = np.arange(len(pitch)) * 0.005
    power = pyworld.cheaptrick(wave, pitch, times, RATE_HZ, fft_size=1024)
    return np.asarray(pysptk.sp2mc(power, order=24, alpha=0.41))[:, 1:]


def spectral_distance(heard: Wave, clean: Wave) -> float:
    """The mean over auraloss's three resolutions."""
    one, other = (torch.from_numpy(wave)[None, None] for wave in (heard, clean))
    losses = auraloss.freq.MultiResolutionSTFTLoss().stft_losses
    numbers = []
    for loss in losses:
        loss.eps = 0.0
        loudest = loss.stft(other[0])[0].max()
        loss.eps = float((loudest * 1e-4) ** 2)
        numbers.append(float(loss(one, other)))
    return sum(numbers) / len(numbers)


def f0(wave: Wave) -> Wave:
    """F0 by DIO and StoneMask, every 5 ms, Hz."""
    rough, times = pyworld.dio(wave, RATE_HZ)
    return np.asarray(pyworld.stonemask(wave, rough, times, RATE_HZ))


def pitch_errors(heard: Wave, clean: Wave) -> dict[str, float]:
    """The errors of F0 and voicing."""
    one, other = f0(heard), f0(clean)
    both = (one > 0) & (other > 0)
    cents = 1200 * np.log2(one[both] / other[both])
    return {
        "f0-rmse": float(np.sqrt(np.mean((one[both] - other[both]) ** 2))),
        "f0-cents": float(np.sqrt(np.mean(cents**2))),
        "vuv-error": float(100 * np.mean((one > 0) != (other > 0))),
    }


def score(pair: str) -> dict[str, float]:
    """Every number of one pair."""
    heard, clean, rate = read(pair)
    low, low_clean = at_16_khz(heard, rate), at_16_khz(clean, rate)
    meter = pyloudnorm.Meter(rate)
    loudness = [float(meter.integrated_loudness(wave)) for wave in (heard, clean)]
    one, other = cepstra(low), cepstra(low_clean)
    plain = [(frame, frame) for frame in range(len(other))]
    numbers = {
        "estoi": float(stoi(clean, heard, rate, extended=True)),
        "loudness": loudness[0],
        "loudness-difference": abs(loudness[0] - loudness[1]),
        "mcd-pymcd": distortion(one, other, plain),
        "mcd-sptk": float(
            DB_PER_UNIT * np.linalg.norm(sptk_cepstra(low) - sptk_cepstra(low_clean), axis=1).mean()
        ),
        "mr-stft": spectral_distance(heard, clean),
        "pesq": float(pesq(RATE_HZ, low_clean.astype(np.float32), low.astype(np.float32), "wb")),
        "si-sdr": float(
            scale_invariant_signal_distortion_ratio(
                torch.from_numpy(heard), torch.from_numpy(clean), zero_mean=True
            )
        ),
        "stoi": float(stoi(clean, heard, rate)),
        **pitch_errors(low, low_clean),
    }
    if pair == WARPED:
        _, path = fastdtw(one, other, radius=len(one), dist=euclidean)
        numbers["mcd-pymcd-dtw"] = distortion(one, other, path)
    return dict(sorted(numbers.items()))


def main(write: Callable[[str], Any]) -> None:
    """All pairs, and the versions of the packages."""
    found = {
        "made_by": "tests/reference/metric_scores.py",
        "versions": {name: version(name) for name in PACKAGES},
        "scores": {pair: score(pair) for pair in (*PAIRS, CLIPPED)},
    }
    write(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(__file__).with_suffix(".json").write_text)
