"""A benchmark's folder as the runner leaves it, made of real speech and real damage."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Generator, Tensor

from selfremaster.benchmarks.records import (
    COSTS_NAME,
    GRID_NAME,
    PROVENANCE_NAME,
    RESULTS_NAME,
    CellCost,
    MetricNote,
    Provenance,
    Result,
)
from selfremaster.core import audio
from selfremaster.core.degrading import Step, degrade
from selfremaster.registry.building import build

SPEECH = Path(__file__).parents[1] / "examples" / "speech"
CONDITIONS = {
    "band-limited": "band-limit:cutoff_hz=1000",
    "clipped": "clip:ratio=0.1",
    "hiss": "noise:snr_db=8",
}
RESTORERS = ("input", "copy synthesis", "noise gate", "supervised", "dual learning")
TOLD = "copy synthesis"
PARTS = {"input": "input", TOLD: "copy-synthesis"}
SCALES: Mapping[str, tuple[str, float, float]] = {  # of a number: direction, at worst, at best
    "distillmos": ("higher", 1.6, 4.4),
    "dnsmos-ovrl": ("higher", 1.4, 3.3),
    "pesq": ("higher", 1.2, 3.9),
    "stoi": ("higher", 0.62, 0.98),
    "estoi": ("higher", 0.48, 0.94),
    "wer": ("lower", 0.45, 0.04),
    "speaker-similarity": ("higher", 0.55, 0.95),
    "f0-rmse": ("lower", 31.0, 4.0),
    "lsd": ("lower", 15.0, 3.5),
    "mel-l1": ("lower", 1.6, 0.3),
    "si-sdr": ("higher", -4.0, 18.0),
    "ltas": ("lower", 14.0, 2.0),
}
SKILL = {"input": 0.25, TOLD: 0.92, "noise gate": 0.3, "supervised": 0.5, "dual learning": 0.68}
MISSING = "dnsmos"
RATE = 22050


def make_outcome(
    folder: Path,
    *,
    restorers: Sequence[str] = RESTORERS,
    conditions: Mapping[str, str | None] = CONDITIONS,
    pieces: int = 2,
    seconds: float = 1.0,
    sounding: int = 1,
    failing: bool = True,
    metrics: Sequence[str] = tuple(SCALES),
    seeds: Sequence[int] = (0,),
    examples: int = 2,
) -> Path:
    """Write the folder: two speakers, each of three files in so many pieces, as two corpora.

    The first so many pieces of each corpus have sounds. ``failing`` makes restorer "noise gate"
    fail on one file of each corpus, leaves numbers out, and a metric's package away.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results: list[Result] = []
    costs: list[CellCost] = []
    for place, (condition, spec) in enumerate(conditions.items()):
        for corpus in ("alder", "heart"):
            for seed in seeds:
                chance = Generator().manual_seed(hash_of(str(place), corpus, str(seed)))
                rows = _cell(
                    folder, restorers, condition, spec, corpus, seed, pieces, seconds, sounding
                )
                for number, row in enumerate(rows):
                    results += [
                        _judged(row, restorer, metrics, chance, failing, number)
                        for restorer in restorers
                    ]
                costs += [
                    _cost(condition, corpus, seed, one, seconds * len(rows)) for one in restorers
                ]
    order = {name: number for number, name in enumerate(restorers)}
    results.sort(
        key=lambda one: (
            list(conditions).index(one.condition),
            one.corpus,
            one.seed,
            order[one.restorer],
        )
    )
    grid = _grid(restorers, conditions, metrics, seeds, examples)
    (folder / GRID_NAME).write_text(yaml.safe_dump(grid, sort_keys=False))
    for name, lines in ((RESULTS_NAME, results), (COSTS_NAME, costs)):
        text = "".join(json.dumps(line.model_dump(mode="json")) + "\n" for line in lines)
        (folder / name).write_text(text)
    provenance = _provenance(restorers, metrics, failing)
    (folder / PROVENANCE_NAME).write_text(json.dumps(provenance.model_dump(mode="json")))
    return folder


def _cell(
    folder: Path,
    restorers: Sequence[str],
    condition: str,
    spec: str | None,
    corpus: str,
    seed: int,
    pieces: int,
    seconds: float,
    sounding: int,
) -> list[dict[str, Any]]:
    """What the files of a corpus have in common in a condition; the first few have sounds."""
    steps = [Step(spec.partition(":")[0], build("degradation", spec))] if spec else []
    rows = []
    for number in range(3 * pieces):
        file = f"{corpus}-{number % 3 + 1}.flac"
        name = f"{corpus}-{number % 3 + 1}-{number // 3}.flac"
        row = {"condition": condition, "corpus": corpus, "seed": seed, "file": name}
        row |= {"speaker": corpus, "seconds": seconds, "sample_rate": RATE, "sounds": {}}
        row["degradation"] = [{"degradation": step.name} for step in steps]
        if number < sounding:
            wave, rate = audio.read(SPEECH / corpus / file)
            start = min(number // 3 * round(seconds * rate), wave.shape[-1] - round(seconds * rate))
            clean = wave[:, max(0, start) :][:, : round(seconds * rate)]
            damaged, applied, _ = degrade(clean, rate, steps, Generator().manual_seed(seed))
            row["degradation"] = [one.model_dump(mode="json") for one in applied]
            row["sample_rate"] = rate
            row["sounds"] = _sounds(folder, restorers, row, clean, damaged)
        rows.append(row)
    return rows


def _sounds(
    folder: Path, restorers: Sequence[str], row: Mapping[str, Any], clean: Tensor, damaged: Tensor
) -> dict[str, dict[str, str]]:
    """The files written, for each restorer; what is restored lies between damaged and clean."""
    place = Path(
        "sounds", row["condition"], row["corpus"], str(row["seed"]), row["file"]
    ).with_suffix("")

    def put(name: str, wave: Tensor) -> str:
        path = (place / name).with_suffix(".flac")
        audio.write(folder / path, wave.clamp(-0.999, 0.999), row["sample_rate"])
        return path.as_posix()

    shared = {"input": put("input", damaged), "reference": put("reference", clean)}
    found = {}
    for restorer in restorers:
        share = 0.0 if restorer == "input" else SKILL.get(restorer, 0.5)
        quieter = 10 ** (-len(restorer) / 40)
        name = restorer.replace(" ", "-")
        mixed = quieter * torch.lerp(damaged, clean, share)
        found[restorer] = {**shared, "restored": put(f"restored-{name}", mixed)}
    return found


def _judged(
    row: Mapping[str, Any],
    restorer: str,
    metrics: Sequence[str],
    chance: Generator,
    failing: bool,
    number: int,
) -> Result:
    cell = f"{abs(hash_of(row['condition'], row['corpus'], restorer)):016x}"
    own = {**row, "restorer": restorer, "cell": cell}
    own["sounds"] = row["sounds"].get(restorer, {})
    if failing and restorer == "noise gate" and number == 1:
        reason = "ComponentError: the wave holds no pause to learn the noise from"
        return Result.model_validate({**own, "status": "failed", "reason": reason, "sounds": {}})
    level = SKILL.get(restorer, 0.5) + 0.08 * float(torch.randn((), generator=chance))
    scores: dict[str, float | None] = {}
    gaps = {}
    for name in metrics:
        _, worst, best = SCALES[name]
        if failing and name.startswith(MISSING):
            gaps[MISSING] = "needs the package speechmos; install selfremaster[metrics]"
            continue
        jitter = 0.03 * float(torch.randn((), generator=chance))
        scores[name] = round(worst + (best - worst) * min(1.0, max(0.0, level + jitter)), 4)
    if failing and "f0-rmse" in scores and number == 2:
        scores["f0-rmse"] = None
    return Result.model_validate({**own, "scores": scores, "gaps": gaps})


def hash_of(*words: str) -> int:
    """A number that is the same for the same words on every day."""
    found = 0
    for letter in "/".join(words):
        found = (found * 131 + ord(letter)) % 2**63
    return found


def _cost(condition: str, corpus: str, seed: int, restorer: str, seconds: float) -> CellCost:
    size = SKILL.get(restorer, 0.5)
    trained = restorer in {"supervised", "dual learning"}
    return CellCost(
        cell=f"{hash_of(condition, corpus, restorer):016x}",
        condition=condition,
        corpus=corpus,
        seed=seed,
        restorer=restorer,
        audio_seconds=seconds,
        wall_seconds=seconds * size * 0.08,
        peak_memory_bytes=round(300e6 + 900e6 * size),
        parameters=3_104_512 if trained else None,
        multiply_adds=4.1e9 if trained else None,
        training_minutes=14.5 if trained else None,
    )


def _grid(
    restorers: Sequence[str],
    conditions: Mapping[str, str | None],
    metrics: Sequence[str],
    seeds: Sequence[int],
    examples: int,
) -> dict[str, Any]:
    return {
        "name": "Three sorts of damage",
        "about": "Five ways to restore **speech of two readers**, damaged in three ways.",
        "caveats": "- Six files are *few*.\n- The restored sounds are mixtures, made for a test.",
        "corpora": {name: {"folder": f"examples/speech/{name}"} for name in ("alder", "heart")},
        "conditions": dict(conditions),
        "restorers": {name: PARTS.get(name, "selfremaster") for name in restorers},
        "metrics": list(dict.fromkeys(metric_of(name) for name in metrics)),
        "seeds": list(seeds),
        "examples": examples,
    }


def metric_of(number: str) -> str:
    """The metric that gives a number."""
    return MISSING if number.startswith(MISSING) else number


def _provenance(restorers: Sequence[str], metrics: Sequence[str], failing: bool) -> Provenance:
    notes = []
    for name in metrics:
        metric = metric_of(name)
        gone = failing and metric == MISSING
        notes.append(
            MetricNote(
                metric=metric,
                summary=f"What {metric} says of a sound.",
                source="ITU-T P.862.2" if name == "pesq" else "",
                policy="at 16000 Hz; gain is taken out; lag counts",
                directions={} if gone else {name: SCALES[name][0]},  # type: ignore[dict-item]  # a direction
                packages={"pesq": "0.0.4"} if name == "pesq" else {},
                missing="needs the package speechmos; install selfremaster[metrics]"
                if gone
                else "",
            )
        )
    return Provenance(
        selfremaster="0.1.0",
        started="2026-11-22T23:00:00Z",
        python="3.13.5",
        packages={"torch": "2.13.0", "numpy": "2.4.6", "scipy": "1.17.1"},
        machine="Intel(R) Xeon(R) Processor, 2 cores, 16 GiB",
        command="selfremaster benchmark grid.yaml --output results",
        grid_sha256="5f" * 32,
        corpora={
            name: {"files": 6, "seconds": 18.0, "speakers": 1, "sha256": "a3" * 32}
            for name in ("alder", "heart")
        },
        restorers={
            name: {
                "part": PARTS.get(name, "selfremaster"),
                "owner": "selfremaster",
                "told": name == TOLD,
                **({"model": "c4" * 32} if name in {"supervised", "dual learning"} else {}),
            }
            for name in restorers
        },
        runs={
            "dual": {"experiment": "b7" * 32, "steps": 300, "minutes": 14.5, "bundle": "c4" * 32}
        },
        metrics=notes,
        exclusions=["heart/heart-9.flac: 0 samples of audio; nothing to restore"] * failing,
    )
