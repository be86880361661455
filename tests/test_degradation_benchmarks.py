"""The benchmark of degradations, on sounds of a moment: what it tells, not how fast anything is."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import selfremaster as sr
from selfremaster.benchmarks.degradations import __main__ as speed
from selfremaster.benchmarks.degradations import costs as costs
from selfremaster.benchmarks.degradations import peers as peers
from selfremaster.benchmarks.degradations.peers import OURS, Comparison
from selfremaster.benchmarks.degradations.works import PEAK, WORKS, Peer, Work
from selfremaster.benchmarks.timing import (
    CRASHED,
    THREADS,
    apart,
    apart_and_frugal,
    median_seconds,
)
from selfremaster.core.errors import ComponentError
from selfremaster.registry.building import build, configure

NAMES = [info.name for info in sr.list_components("degradation")]
QUICK = ["--seconds", "0.05", "--memory-seconds", "1", "--repeats", "1", "--least-seconds", "0"]


def peer(package: str, result: Callable[[Tensor], Any], note: str = "") -> Peer:
    return Peer(package, "Call", lambda wave, rate_hz: lambda: result(wave), note)


def missing(wave: Tensor) -> Tensor:
    raise ModuleNotFoundError("No module named 'sox'", name="sox")


def broken(wave: Tensor) -> Tensor:
    raise AttributeError("no attribute\n'info'")


@pytest.mark.parametrize("name", NAMES)
def test_every_degradation_can_draw_around_its_defaults(name: str) -> None:
    spec = costs.around_defaults(name)
    config = configure("degradation", spec)
    defaults = configure("degradation", name)
    for setting, limits in spec.settings.items():
        middle = sum(limits) / 2
        assert middle == pytest.approx(getattr(defaults, setting))
        assert getattr(config, setting) == tuple(limits)


def test_what_is_drawn_around_the_defaults_differs_from_wave_to_wave() -> None:
    spec = costs.around_defaults("gain")
    assert spec.settings == {"gain_db": [pytest.approx(-6.3), pytest.approx(-5.7)]}
    settings = costs.Settings(seconds=0.01, repeats=1, least_seconds=0)
    found = costs.speeds_of("gain", settings)
    assert set(found) == {(rate, batch) for rate in costs.RATES_HZ for batch in (1, costs.BATCH)}
    assert all(0 < value < math.inf for value in found.values())


def test_choices_are_those_of_the_settings_that_are_not_the_default() -> None:
    assert costs.choices_of("gain") == []
    assert costs.choices_of("noise") == ["noise:kind=pink", "noise:kind=brown"]
    settings = costs.Settings(seconds=0.01, repeats=1, least_seconds=0)
    found = costs.speeds_of_choices(["noise:kind=pink", "noise:kind=beige"], settings)
    assert len(found["noise:kind=pink"]) == len(costs.RATES_HZ)
    assert "kind=beige" in found["noise:kind=beige"]
    assert costs.choice_table(found).count("noise:kind=") == 1


def test_memory_is_that_above_the_input_and_counts_the_result() -> None:
    part: float = apart_and_frugal(costs.memory_of, "polarity", 60.0)
    assert 0.9 < part < 1.5


def where() -> tuple[int, int, set[str | None]]:
    """The process, torch's threads, and those of the other packages."""
    threads = {os.getenv(f"{name}_NUM_THREADS") for name in THREADS}
    return os.getpid(), torch.get_num_threads(), threads


def test_work_is_done_in_a_process_of_one_thread() -> None:
    process, torch_threads, threads = apart(where)
    assert process != os.getpid()
    assert (torch_threads, threads) == (1, {"1"})


def test_works_take_turns_and_the_median_counts() -> None:
    turns: list[str] = []
    works = [lambda: turns.append("first"), lambda: turns.append("second")]
    taken = median_seconds(works, repeats=3, least_seconds=0)
    assert len(taken) == 2
    assert turns[-6:] == ["first", "second"] * 3
    assert median_seconds([], repeats=1, least_seconds=0) == []


GROWING = """
import torch
from selfremaster.benchmarks.timing import peak_growth
with peak_growth() as grown:
    torch.ones(100_000_000)
print(grown[0])
"""


def test_growing_memory_is_seen() -> None:
    # a process of its own: in this one other tests may have taken as much before
    grown = subprocess.run(
        [sys.executable, "-c", GROWING],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 200_000_000 < int(grown.stdout) < 800_000_000


def test_targets_are_those_of_the_part_and_misses_are_marked() -> None:
    slow = {(rate, batch): 50.0 for rate in costs.RATES_HZ for batch in (1, costs.BATCH)}
    found = [
        costs.Measured("clip", slow, 7.0),
        costs.Measured("reverb", slow, 6.0),
        costs.Measured("mp3-codec", {**slow, (44100, 8): 29.0}, 1.0),
        costs.Measured("fax", {}, None, "needs av, which is not installed"),
    ]
    assert [one.misses for one in found] == [True, False, True, False]
    rows = costs.table(found).splitlines()[2:]
    assert rows == [
        "| clip | **50, missed** | **50, missed** | **50, missed** | **50, missed** | 100 |",
        "| reverb | 50 | 50 | 50 | 50 | 30 |",
        "| mp3-codec | 50 | 50 | 50 | **29, missed** | 30 |",
    ]
    memory = costs.memory_table(found).splitlines()[2:]
    assert memory == ["| clip | **7.0, missed** |", "| reverb | 6.0 |", "| mp3-codec | 1.0 |"]


def test_what_cannot_be_built_is_told_by_its_missing_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(kind: str, name: str) -> None:
        raise ComponentError("cannot be imported") from ModuleNotFoundError(name="av")

    monkeypatch.setattr(costs, "build", refuse)
    found = costs.measure("clip", costs.Settings())
    assert found.failure == "needs av, which is not installed"
    assert not found.misses


@pytest.fixture(scope="module")
def sound() -> Tensor:
    return peers.speech(2, 22050)


@pytest.mark.parametrize("work", WORKS, ids=[work.name for work in WORKS])
def test_ours_does_every_work_that_is_compared(work: Work, sound: Tensor) -> None:
    part = build("degradation", work.ours)
    damaged, _ = part(sound, torch.Generator().manual_seed(0), 22050)
    assert not torch.equal(damaged, sound)


def test_the_level_of_the_speech_is_the_one_that_clippers_are_told() -> None:
    assert peers.speech(10, 22050).abs().max().item() == pytest.approx(PEAK)


def test_other_packages_are_compared_and_gaps_are_named() -> None:
    work = Work(
        "gain",
        "gain:gain_db=-20",
        (
            peer("audiomentations", lambda wave: (wave / 10).numpy()[0]),
            peer("torch-audiomentations", missing),
            peer("torchaudio", broken),
        ),
    )
    found = peers.compare(work, 8000, seconds=0.1, repeats=1, least_seconds=0)
    assert set(found.speeds) == {OURS, "audiomentations"}
    assert found.gaps == {
        "torch-audiomentations": "sox is not installed",
        "torchaudio": "AttributeError: no attribute 'info'",
    }
    assert found.differences["audiomentations"].startswith(("equal", "the same but for rounding"))


def test_noise_is_compared_by_its_level() -> None:
    quieter = peer("torchaudio", lambda wave: wave + 0.1 * wave)
    work = Work("noise", "noise:snr_db=20", (quieter,), "noise")
    found = peers.compare(work, 8000, seconds=1, repeats=1, least_seconds=0)
    assert found.differences == {OURS: "SNR 20.00 dB", "torchaudio": "SNR 20.00 dB"}


def test_a_part_of_ours_that_is_not_there_is_a_gap_too() -> None:
    work = Work("magic", "magic", (peer("torchaudio", lambda wave: wave),))
    found = peers.compare(work, 8000, seconds=0.01, repeats=1, least_seconds=0)
    assert "no degradation named 'magic'" in found.gaps[OURS]
    assert peers.ratio(found) is None


@pytest.mark.parametrize("place", ["/home/me/noises.py", "C:\\me\\noises.py"])
def test_a_failure_is_told_without_places_of_the_machine(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(kind: str, name: str) -> None:
        raise ComponentError(f"cannot import name 'rms' ({place}); see (above)")

    monkeypatch.setattr(costs, "build", refuse)
    told = costs.measure("noise", costs.Settings()).failure
    assert told == "cannot import name 'rms'; see (above)"


def test_a_process_that_ends_is_a_gap_and_not_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*given: object) -> None:
        raise BrokenProcessPool

    for module, name in ((costs, "apart"), (costs, "apart_and_frugal"), (peers, "apart")):
        monkeypatch.setattr(module, name, crash)
    assert costs.measure("clip", costs.Settings()).failure == CRASHED
    assert set(costs.choice_speeds("noise", costs.Settings()).values()) == {CRASHED}
    found = peers.compare_apart("gain", (8000,), 1, 1, 0)
    assert set(found[0].gaps.values()) == {CRASHED}
    assert f"| torchaudio `gain` | gap: {CRASHED} |" in peers.describe(found)


@pytest.mark.parametrize(
    ("theirs", "told"),
    [
        (torch.tensor([1.0, 1.0]), "equal"),
        (torch.tensor([1.0, 1.000001]), "the same but for rounding: -123"),
        (torch.tensor([1.0, 2.0]), "differs: -3.0 dB"),
        (torch.tensor([1.0]), "has 1 samples for 2"),
    ],
)
def test_differences_are_told_in_words(theirs: Tensor, told: str) -> None:
    assert peers.difference(torch.ones(2), theirs).startswith(told)


def test_slower_is_told_with_what_it_costs() -> None:
    found = [
        Comparison("gain", 22050, 10.0, {OURS: 1000.0, "torchaudio": 2000.0}, {}, {}),
        Comparison("clipping", 22050, 10.0, {OURS: 95.0, "audiomentations": 100.0}, {}, {}),
    ]
    text = peers.describe(found)
    assert "\n\n- gain: 0.50 at 22,050 Hz, 5.00 ms more\n\n" in text
    assert "| gain | 1000 | - | - | 2000 | **0.50, slower** |" in text
    assert "| clipping | 95 | 100 | - | - | 0.95 |" in text


def in_this_process(work: Callable[..., Any], *given: Any) -> Any:
    return work(*given)


def test_the_whole_report_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((costs, "apart"), (costs, "apart_and_frugal"), (peers, "apart")):
        monkeypatch.setattr(module, name, in_this_process)
    notes, output = tmp_path / "notes.md", tmp_path / "report.md"
    notes.write_text("## Long run\n\nNothing was found.\n", encoding="utf-8")
    words = ["--parts", "gain", "polarity", *QUICK, "--notes", str(notes), "--output", str(output)]
    assert speed.main(words) == 0
    report = output.read_text(encoding="utf-8")
    headings = [line for line in report.splitlines() if line.startswith("#")]
    assert headings == [
        "# Speed and memory of degradations",
        "## Speed",
        "## Against other packages",
        "## Memory",
        "## Long run",
        "## To measure it again",
    ]
    assert report.count("| polarity ") == 4  # speed, memory, and other packages at two rates
    assert report.count("| `gain:gain_db=-6` | ") == 3
    assert f"--notes notes.md --output {output.name}" in report
    assert str(tmp_path) not in report


def test_wrong_words_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert speed.main(["--parts", "clp"]) == 2
    assert "did you mean 'clip'" in capsys.readouterr().err
    assert speed.main(["--parts", "clip", "--notes", "nowhere.md", *QUICK]) == 2
    assert "nowhere.md" in capsys.readouterr().err
