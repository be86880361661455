"""Archives restored by many machines: the simulation keeps count, and the plan its words."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfremaster.benchmarks import scale
from selfremaster.benchmarks.fleets import Archive, Figures, Fleet, lengths, most_workers, simulate
from selfremaster.benchmarks.performance.archives import Taken
from selfremaster.core import audio

FIGURES = Figures(
    load_seconds=5.0,
    file_seconds=0.1,
    sound_seconds=0.03,
    memory_bytes=1e9,
    record_seconds=0.001,
)
EVEN = Archive(hours=10, mean_minutes=6, spread=0, unreadable_share=0)
QUIET = Fleet(machines=1, workers=1, losses_per_hour=0, request_seconds=0, request_failures=0)


@pytest.fixture
def figures(tmp_path: Path) -> Path:
    """A file of figures, as --keep-figures writes it."""
    path = tmp_path / "figures.json"
    told = {"machine": "a machine", "foretold_seconds": 2.0, "taken_seconds": 3.0}
    path.write_text(json.dumps(told | {"figures": FIGURES._asdict()}))
    return path


def seconds_of_a_file(archive: Archive, fleet: Fleet) -> float:
    sound = archive.hours * 3600 / 100
    pace = min(fleet.machine_bytes_per_second, fleet.store_bytes_per_second)
    moved = 2 * sound * archive.bytes_per_second / pace
    return FIGURES.file_seconds + sound * archive.channels * FIGURES.sound_seconds + moved


def test_one_worker_does_one_file_after_another() -> None:
    told = simulate(EVEN, QUIET, FIGURES)
    expected = FIGURES.load_seconds + 100 * seconds_of_a_file(EVEN, QUIET)
    assert told.seconds == pytest.approx(expected)
    assert (told.files, told.done, told.lost_seconds) == (100, 100, 0.0)


def test_twice_the_workers_take_half_the_time_but_for_the_start() -> None:
    fast = QUIET.model_copy(update={"workers": 2, "machine_bytes_per_second": 1e15})
    fast = fast.model_copy(update={"store_bytes_per_second": 1e15})
    alone = simulate(EVEN, fast.model_copy(update={"workers": 1}), FIGURES)
    both = simulate(EVEN, fast, FIGURES)
    load = FIGURES.load_seconds
    assert both.seconds - load == pytest.approx((alone.seconds - load) / 2)


def test_the_store_sets_a_limit_that_machines_do_not_lift() -> None:
    slow = QUIET.model_copy(update={"store_bytes_per_second": 1e6})
    least = 2 * EVEN.hours * 3600 * EVEN.bytes_per_second / 1e6
    for machines in (1, 10):
        fleet = slow.model_copy(update={"machines": machines})
        assert simulate(EVEN, fleet, FIGURES).seconds > least


def test_one_driver_cannot_write_down_more_than_it_can() -> None:
    slow = FIGURES._replace(record_seconds=60.0)
    assert simulate(EVEN, QUIET, slow).seconds == pytest.approx(100 * 60)
    shared = QUIET.model_copy(update={"drivers": 4})
    assert simulate(EVEN, shared, slow).seconds == pytest.approx(100 * 60 / 4)


def test_a_driver_that_writes_into_a_store_waits_for_each_answer() -> None:
    """Twice the time of a request is twice the time of all, whatever the machines."""
    slow = QUIET.model_copy(update={"request_seconds": 50.0, "requests": 1, "machines": 50})
    free = FIGURES._replace(record_seconds=0.0)
    once = simulate(EVEN, slow, free).seconds
    assert once == pytest.approx(100 * 50)
    twice = simulate(EVEN, slow.model_copy(update={"request_seconds": 100.0}), free).seconds
    assert twice == pytest.approx(2 * once)
    by_workers = slow.model_copy(update={"driver_requests": 0})
    assert simulate(EVEN, by_workers, free).seconds < once / 5


def test_workers_that_slow_each_other_down_take_longer_for_the_work_alone() -> None:
    far = QUIET.model_copy(
        update={"machine_bytes_per_second": 1e15, "store_bytes_per_second": 1e15}
    )
    told = [
        simulate(EVEN, far, FIGURES._replace(slowdown=slowdown)).seconds - FIGURES.load_seconds
        for slowdown in (1.0, 1.5)
    ]
    assert told[1] == pytest.approx(1.5 * told[0])


@settings(max_examples=25, deadline=None)
@given(
    losses=st.floats(0, 20),
    failures=st.floats(0, 1),
    unreadable=st.floats(0, 1),
    machines=st.integers(1, 5),
    retries=st.integers(0, 3),
    seed=st.integers(0, 99),
)
def test_every_file_is_done_unreadable_or_given_up(
    losses: float, failures: float, unreadable: float, machines: int, retries: int, seed: int
) -> None:
    archive = Archive(hours=20, mean_minutes=12, unreadable_share=unreadable)
    fleet = Fleet(
        machines=machines,
        workers=3,
        losses_per_hour=losses,
        request_failures=failures,
        retries=retries,
    )
    told = simulate(archive, fleet, FIGURES, seed)
    assert told.done + told.unreadable + told.given_up == told.files == 100
    assert 0 <= told.lost_seconds <= told.busy_seconds
    assert told.bytes_written <= told.bytes_read
    assert told.requests >= told.files * fleet.requests
    assert told == simulate(archive, fleet, FIGURES, seed)


def test_machines_that_are_lost_cost_work_and_retries_save_files() -> None:
    unlucky = Fleet(machines=4, workers=4, losses_per_hour=30, retries=0)
    archive = Archive(hours=200, mean_minutes=12)
    once, often = (
        simulate(archive, unlucky.model_copy(update={"retries": retries}), FIGURES)
        for retries in (0, 20)
    )
    calm = simulate(archive, unlucky.model_copy(update={"losses_per_hour": 0.0}), FIGURES)
    assert once.given_up > 20
    assert often.given_up < once.given_up / 10
    assert often.lost_share > 0.02
    assert calm.lost_seconds == 0
    assert often.price > calm.price


def test_lengths_come_to_the_hours_of_the_archive() -> None:
    found = lengths(Archive(hours=500, mean_minutes=30), seed=1)
    assert len(found) == 1000
    assert found.sum() == pytest.approx(500 * 3600)
    assert found.max() > 3 * found.mean()


def test_memory_or_cores_limit_the_workers() -> None:
    assert most_workers(16, 4e9, FIGURES) == 4
    assert most_workers(2, 64e9, FIGURES) == 2
    assert most_workers(2, 1e3, FIGURES) == 1


def test_figures_are_found_from_what_commands_take(monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(source: Path, target: Path, *words: str) -> Taken:
        files = sorted(source.glob("*.wav"))
        assert audio.inspect(files[0]).sample_rate == 8000
        workers = int(words[words.index("--jobs") + 1])
        seconds = sum(audio.inspect(file).seconds for file in files) / workers
        return Taken(5.0 + 0.5 * len(files) / workers + 0.1 * seconds, 123)

    monkeypatch.setattr(scale, "restored", taken)
    measured = scale.measure(8000)
    assert measured.figures.load_seconds == pytest.approx(5.0)
    assert measured.figures.file_seconds == pytest.approx(0.5)
    assert measured.figures.sound_seconds == pytest.approx(0.1)
    assert measured.figures.memory_bytes == 123
    assert 0 < measured.figures.record_seconds < 1
    assert measured.foretold_seconds == pytest.approx(measured.taken_seconds, rel=0.01)


def test_the_plan_tells_what_was_given(figures: Path, tmp_path: Path) -> None:
    page = tmp_path / "plan.md"
    words = ["--output", str(page), "--figures", str(figures), "--set", "archive.hours=300"]
    assert scale.main(words) == 0
    text = page.read_text()
    assert "# Restoring an archive of 300 hours" in text
    assert "--set archive.hours=300" in text
    assert "**2.0 s, and it took 3.0 s**" in text
    assert "| archive.hours | 300 |" in text
    for name in scale.variations(scale.Plan()):
        assert f"| {name} |" in text


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("fleet.machine=3", "no such setting; known: archive.hours"),
        ("machines=3", "no such setting"),
        ("fleet.machines=0", "greater than 0"),
        ("archive.hours=inf", "finite number"),
        ("archive.unreadable_share=2", "less than or equal to 1"),
        ("fleet.retries=often", "valid integer"),
    ],
)
def test_settings_that_cannot_be(
    setting: str, words: str, figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "plan.md"
    given = ["--output", str(page), "--figures", str(figures), "--set", setting]
    assert scale.main(given) == 2
    assert words in capsys.readouterr().err
    assert not page.exists()


def test_more_workers_than_memory_holds_are_refused(
    figures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--output", str(tmp_path / "plan.md"), "--figures", str(figures)]
    assert scale.main([*given, "--set", "fleet.machine_gib=8"]) == 2
    words = "fleet.workers=16: a machine with 8 GiB has room for 8, 0.93 GiB each"
    assert words in capsys.readouterr().err
    given += ["--set", "fleet.workers=8", "--set", "archive.hours=300"]
    assert scale.main([*given, "--set", "fleet.machine_gib=8"]) == 0


@pytest.mark.parametrize("text", ["", "[]", '{"figures": {}}', "[" * 9999])
def test_figures_that_are_none(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    path.write_text(text)
    assert scale.main(["--output", str(tmp_path / "plan.md"), "--figures", str(path)]) == 2
    assert "holds no figures" in capsys.readouterr().err
    assert scale.main(["--output", str(tmp_path / "plan.md"), "--figures", "none.json"]) == 2
    assert "none.json: cannot be read" in capsys.readouterr().err
