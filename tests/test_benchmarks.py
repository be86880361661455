"""Benchmarks: damage that can be repeated, honest tables, and a report from end to end."""

import csv
import math
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

import selfremaster as sr
from selfremaster.benchmarks import first_run, measuring, pictures, tables
from selfremaster.benchmarks.measuring import Clip, Contestant, Cost, Score
from selfremaster.core import audio, jobs
from selfremaster.core.bundles import write_bundle
from selfremaster.core.components import ComponentSpec
from selfremaster.core.degrading import Step, degrade_files
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import ComponentConfig, Degradation, Parameters
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.registry.assembling import assemble, resolve
from tests import tiny

RATE = 16000
INPUT = Contestant("input", ComponentSpec.parse("input"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of three files, two of them of the test split."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = ["path,seconds,sample_rate,speaker,split"]
    for number, split in enumerate(["train", "test", "test"]):
        wave = speech_like(round((0.7 + 0.2 * number) * RATE), seed=number, sample_rate=RATE)
        audio.write(folder / "ann" / f"{number}.flac", wave, RATE)
        lines.append(f"ann/{number}.flac,,,ann,{split}")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return manifest


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model that says it was trained."""
    experiment = resolve(tiny.experiment(Path("speech")))
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    notes = {"steps": 1234, "minutes": 5.67}
    write_bundle(path, assemble(experiment), experiment, training=notes)
    return path


@pytest.fixture(scope="module")
def report(corpus: Path, bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole first run, by its command."""
    output = tmp_path_factory.mktemp("results") / "first-run.md"
    words = [
        *("--model", str(bundle.parent), "--clean", str(corpus), "--split", "test"),
        *("--degradation", "band-limit:cutoff_hz=[800, 1200]", "--seed", "3"),
        *("--speakers", "ann", "--training", str(bundle), "--output", str(output)),
        *("--sounds", str(output.parent / "sounds"), "--same-process"),
    ]
    assert first_run.main(words) == 0
    return output


def rows_of(report: Path) -> list[dict[str, str]]:
    with report.with_suffix(".csv").open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def test_a_first_run_measures_what_it_says(report: Path, corpus: Path) -> None:
    rows = rows_of(report)
    assert [(row["file"], row["restorer"]) for row in rows] == [
        (f"ann/{number}.flac", label)
        for label in (
            "input",
            "copy synthesis",
            "selfremaster, its vocoder",
            "selfremaster, input-phase",
        )
        for number in (1, 2)
    ]
    clean, _ = audio.read(corpus.parent / "ann/2.flac")
    degraded, _ = audio.read(report.parent / "sounds/degraded/ann/2.flac")
    input_row = next(row for row in rows if row["file"] == "ann/2.flac")
    for name in first_run.METRICS:
        numbers = sr.build("metric", name).compute(degraded[0], RATE, clean[0])
        assert float(input_row[name]) == pytest.approx(numbers[name], rel=1e-4)
    restored, _ = audio.read(report.parent / "sounds/selfremaster-input-phase/ann/2.flac.wav")
    assert restored.shape == clean.shape
    assert not torch.allclose(restored, degraded, atol=1e-3)


def test_a_report_tells_conditions_costs_and_training(report: Path, bundle: Path) -> None:
    text = report.read_text(encoding="utf-8")
    assert "2 clean files of ann (split test), 0.03 minutes" in text
    assert "| restorer | lsd ↓ | mel-l1 ↓ | pesq ↑ | estoi ↑ | n |" in text
    assert "| tiny | ssl-dual | 1234 | 5.67 |" in text
    assert "cutoff_hz [800.0, 1200.0], q 1.0" in text
    assert "floor_db -80.0" in text
    assert f"torch {torch.__version__}" in text
    quality = text.split("## Cost")[0].splitlines()
    input_row = next(line for line in quality if line.startswith("| input |"))
    mean = sum(float(row["lsd"]) for row in rows_of(report)[:2]) / 2
    assert f"{mean:.3f} ± " in input_row
    assert str(bundle.parent) not in text
    assert str(report.parent) not in text
    with report.with_suffix(".png").open("rb") as opened:
        assert opened.read(8) == b"\x89PNG\r\n\x1a\n"
    assert report.with_suffix(".png").stat().st_size < 300_000


def test_the_command_in_the_report_measures_the_same(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    printed = text.split("```sh\n")[1].split("\n```")[0]
    assert "--clean manifest.csv --split test --speakers ann" in printed
    words = shlex.split(printed)[3:]
    given = vars(first_run.parser().parse_args(words))
    assert (given["degradations"], given["seed"]) == (["band-limit:cutoff_hz=[800, 1200]"], 3)


def test_the_same_settings_give_the_same_numbers(
    report: Path, corpus: Path, bundle: Path, tmp_path: Path
) -> None:
    settings = first_run.Settings(
        model=str(bundle),
        clean=corpus.parent,
        output=tmp_path / "again.md",
        degradations=("band-limit:cutoff_hz=[800, 1200]",),
        seed=3,
        metrics=("lsd",),
        limit=2,
        caveats=tmp_path / "caveats.md",
        apart=False,
    )
    (tmp_path / "caveats.md").write_text("Chosen on these files.\n")
    first_run.run(settings)
    text = settings.output.read_text()
    assert "\n## Caveats\n\nChosen on these files.\n\n## Cost\n" in text
    assert "--caveats caveats.md" in text
    found = {(row["file"], row["restorer"]): row for row in rows_of(settings.output)}
    before = {(row["file"], row["restorer"]): row for row in rows_of(report)}
    shared = found.keys() & before.keys()
    assert len(shared) == 4  # file 1 by four restorers
    for key in shared:
        assert found[key]["degradation"] == before[key]["degradation"]
        assert found[key]["lsd"] == before[key]["lsd"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"--model": "nowhere"}, "no bundle 'nowhere'"),
        ({"--degradation": "band-limt"}, "did you mean 'band-limit'"),
        ({"--split": "tset"}, "did you mean 'test'"),
        ({"--metrics": "lsdd"}, "did you mean 'lsd'"),
        ({"--model": "m" * 300}, "File name too long"),
        ({"--caveats": "nowhere.md"}, "nowhere.md"),
    ],
)
def test_wrong_words_are_one_line(
    changes: dict[str, str],
    words: str,
    corpus: Path,
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = {"--model": str(bundle), "--clean": str(corpus), "--output": str(tmp_path / "no.md")}
    assert first_run.main([word for pair in (given | changes).items() for word in pair]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not (tmp_path / "no.md").exists()


def test_damage_is_that_of_the_degrade_command(corpus: Path, tmp_path: Path) -> None:
    steps = [Step("band-limit", sr.build("degradation", "band-limit:cutoff_hz=[500, 4000]"))]
    planned = jobs.plan([corpus.parent], tmp_path / "command")
    by_command = {done.target.name: done for done in degrade_files(planned, steps, seed=5)}
    files = [(f"ann/{number}.flac", corpus.parent / f"ann/{number}.flac") for number in (2, 0)]
    for clip in measuring.damage(files, steps, 5, tmp_path / "benchmark"):
        other = by_command[clip.degraded.name]
        assert torch.equal(audio.read(clip.degraded)[0], audio.read(other.target)[0])
        assert clip.drawn == [{"name": "band-limit", **other.log.degradations[0].parameters}]


class Late(Degradation):
    """Comes three samples late."""

    delay_samples = 3

    def draw(self, generator: torch.Generator, sample_rate: int) -> dict[str, Any]:
        """Nothing."""
        return {}

    def apply_one(
        self, wave: torch.Tensor, parameters: Parameters, sample_rate: int
    ) -> torch.Tensor:
        """Delay."""
        return torch.nn.functional.pad(wave, (3, 0))[:, : wave.shape[-1]]


def test_damage_takes_out_the_lag(tmp_path: Path) -> None:
    wave = noise(2, 400).clamp(-0.9, 0.9)
    audio.write(tmp_path / "a.wav", wave, RATE, subtype="FLOAT")
    late = Late(ComponentConfig())
    steps = [Step("late", late), Step("late", late)]
    (clip,) = measuring.damage([("a.wav", tmp_path / "a.wav")], steps, 0, tmp_path / "out")
    damaged, _ = audio.read(clip.degraded)
    assert torch.equal(damaged[:, :394], wave[:, :394])
    assert not damaged[:, 394:].any()
    assert clip.seconds == pytest.approx(2 * 400 / RATE)


def test_a_restorer_in_a_process_of_its_own(tmp_path: Path, corpus: Path) -> None:
    steps = [Step("clip", sr.build("degradation", "clip"))]
    files = [("x.flac", corpus.parent / "ann/1.flac")]
    (clip,) = measuring.damage(files, steps, 0, tmp_path)
    cost = measuring.restore_apart(INPUT, [clip], tmp_path, threads=1)
    assert cost.threads == 1
    assert cost.audio_seconds == pytest.approx(0.9, abs=1e-3)
    assert 0 < cost.real_time_factor < 1
    assert 2**20 < cost.peak_bytes < 2**40
    assert torch.equal(audio.read(INPUT.place(tmp_path, clip))[0], audio.read(clip.degraded)[0])
    missing = Contestant("x", ComponentSpec.parse("inptu"))
    with pytest.raises(ComponentError, match="did you mean 'input'"):
        measuring.restore_all(missing, [clip], tmp_path)


def test_two_metrics_of_one_name_are_refused() -> None:
    metrics = [sr.build("metric", text) for text in ("lsd", "lsd:max_hz=4000")]
    with pytest.raises(ComponentError, match="two metrics give 'lsd'"):
        measuring.directions(metrics)


def scores(label: str, *numbers: tuple[float, float]) -> list[Score]:
    place = Path("x")
    return [
        Score(Clip(f"f{k}", 1.0, place, place, [{"k": k}]), label, {"low": low, "high": high})
        for k, (low, high) in enumerate(numbers)
    ]


WAYS = {"low": "lower", "high": "higher"}
CEILING = Contestant("ceiling", ComponentSpec.parse("input"), told=True)
OTHER = Contestant("other", ComponentSpec.parse("input"))
FOUND = [
    *scores("input", (1.0, 1.0), (3.0, 2.0)),
    *scores("ceiling", (0.0, 9.0), (0.0, 9.0)),
    *scores("other", (1.5, math.nan), (1.5, 5.0)),
]


def test_the_best_that_is_not_told_is_bold() -> None:
    assert tables.quality(FOUND, [INPUT, CEILING, OTHER], WAYS).splitlines() == [
        "| restorer | low ↓ | high ↑ | n |",
        "| --- | ---: | ---: | ---: |",
        "| input | 2.000 ± 1.000 | 1.500 ± 0.500 | 2 |",
        "| ceiling | 0.000 ± 0.000 | 9.000 ± 0.000 | 2 |",
        "| other | **1.500 ± 0.000** | **5.000 (n = 1)** | 2 |",
    ]


def test_improvements_are_counted_file_by_file() -> None:
    assert tables.improvements(FOUND, [INPUT, OTHER], WAYS, "input").splitlines()[2:] == [
        "| other | -0.500 ± 1.000 (1 of 2) | +3.000 (1 of 1) |",
    ]


def test_numbers_that_cannot_be_had_are_left_out() -> None:
    nothing = scores("input", (math.nan, 1.0))
    assert (
        tables.quality(nothing, [INPUT], WAYS).splitlines()[-1] == "| input | - | **1.000** | 1 |"
    )
    assert tables.per_file(nothing, WAYS).splitlines() == [
        "file,seconds,degradation,restorer,low,high",
        'f0,1.000,"[{""k"": 0}]",input,,1',
    ]
    assert tables.costs({"input": Cost(0.5, 2.0, 3 * 2**20, 1)}).endswith("| input | 0.250 | 3 |")


def test_pictures_are_made_small_enough(tmp_path: Path) -> None:
    waves = {"noise": noise(1, 3 * RATE)[0], "more": noise(1, 3 * RATE, seed=5)[0]}
    path = tmp_path / "noise.png"
    pictures.write_small_spectrograms(path, waves, RATE, largest_bytes=60_000)
    assert 30_000 < path.stat().st_size <= 60_000
