"""Segments are the same whoever asks for them, and show every file its due."""

import itertools
import random
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.errors import AudioError, ExperimentError
from selfremaster.core.segments import Entry, Labels, SegmentDataset, cut, loader

RATE = 16000
SEGMENT = 1600


def speech(samples: int, channels: int, seed: int) -> Tensor:
    """Noise below 3 kHz, so that every rate used here holds it."""
    generator = torch.Generator().manual_seed(seed)
    return audio.resample(
        0.3 * (torch.rand(channels, samples // 2, generator=generator) - 0.5), 8000, RATE
    )


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    """Five files: three of one length, one of eight times that, one shorter than a segment."""
    folder = tmp_path_factory.mktemp("speech")
    lengths = [4800, 4800, 4800, 38400, 1000]
    for index, samples in enumerate(lengths):
        audio.write(folder / f"{index}.flac", speech(samples, 1, index), RATE)
    return [
        Entry(folder / f"{index}.flac", samples / RATE) for index, samples in enumerate(lengths)
    ]


@pytest.fixture(scope="module")
def dataset(entries: list[Entry]) -> SegmentDataset:
    return SegmentDataset({"clean": entries, "degraded": entries[3:]}, RATE, SEGMENT, seed=5)


def batches(dataset: SegmentDataset, count: int, **settings_given: int) -> list[dict[str, Tensor]]:
    stream = loader(dataset, 2, **settings_given)
    found = list(itertools.islice(stream, count))
    del stream
    return found


def same(first: list[dict[str, Tensor]], second: list[dict[str, Tensor]]) -> bool:
    return len(first) == len(second) and all(
        left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)
        for left, right in zip(first, second, strict=True)
    )


# purity


@settings(max_examples=25, deadline=None)
@given(numbers=st.lists(st.integers(0, 10**9), min_size=2, max_size=5, unique=True))
def test_an_item_does_not_depend_on_what_was_asked_before(
    entries: list[Entry], dataset: SegmentDataset, numbers: list[int]
) -> None:
    torch.rand(1)
    forward = {number: dataset[number] for number in numbers}
    fresh = SegmentDataset(dict(dataset.streams), RATE, SEGMENT, seed=5)
    for number in reversed(numbers):
        assert same([fresh[number]], [forward[number]])


def test_streams_draw_apart_and_do_not_disturb_each_other(
    entries: list[Entry], dataset: SegmentDataset
) -> None:
    alone = SegmentDataset({"clean": entries}, RATE, SEGMENT, seed=5)
    twice = SegmentDataset({"clean": entries, "again": entries}, RATE, SEGMENT, seed=5)
    for item in range(6):
        assert torch.equal(alone[item]["clean"], dataset[item]["clean"])
    assert any(not torch.equal(twice[item]["clean"], twice[item]["again"]) for item in range(6))


def test_another_seed_gives_another_order(entries: list[Entry], dataset: SegmentDataset) -> None:
    other = SegmentDataset({"clean": entries}, RATE, SEGMENT, seed=6)
    assert [other.place("clean", item) for item in range(8)] != [
        dataset.place("clean", item) for item in range(8)
    ]


def test_workers_change_nothing(dataset: SegmentDataset) -> None:
    assert same(batches(dataset, 6, workers=0), batches(dataset, 6, workers=2))


@settings(max_examples=10, deadline=None)
@given(steps=st.integers(0, 40))
def test_going_on_gives_what_would_have_come(dataset: SegmentDataset, steps: int) -> None:
    assert same(batches(dataset, steps + 2)[steps:], batches(dataset, 2, first_item=2 * steps))


def test_several_processes_share_the_items(dataset: SegmentDataset) -> None:
    alone = [row for batch in batches(dataset, 6) for row in batch["clean"]]
    ranks = [
        [row for batch in batches(dataset, 3, rank=rank, world_size=2) for row in batch["clean"]]
        for rank in range(2)
    ]
    together = [row for pair in zip(*ranks, strict=True) for row in pair]
    assert all(torch.equal(left, right) for left, right in zip(alone, together, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_global_chance_is_left_alone(dataset: SegmentDataset, workers: int) -> None:
    before = torch.get_rng_state(), random.getstate()
    batches(dataset, 2, workers=workers)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]


# what is taken


def test_a_pass_takes_every_file_by_its_length(dataset: SegmentDataset) -> None:
    assert dataset.items_per_pass("clean") == 3 + 3 + 3 + 24 + 1
    orders = []
    for number in range(3):
        items = range(number * 34, (number + 1) * 34)
        names = [dataset.place("clean", item)[0].path.stem for item in items]
        assert Counter(names) == {"0": 3, "1": 3, "2": 3, "3": 24, "4": 1}
        orders.append(names)
    assert orders[0] != orders[1] != orders[2]


def test_places_are_spread_evenly(dataset: SegmentDataset) -> None:
    fractions = torch.tensor([dataset.place("clean", item)[1] for item in range(2000)])
    assert (torch.histc(fractions, 4, 0, 1) / 2000 - 0.25).abs().max() < 0.04


@settings(max_examples=30, deadline=None)
@given(item=st.integers(0, 10**6))
def test_a_segment_is_levelled_and_lies_in_its_file(dataset: SegmentDataset, item: int) -> None:
    segment = dataset[item]["clean"]
    entry, fraction = dataset.place("clean", item)
    whole = audio.read(entry.path)[0][0]
    assert (segment.dtype, segment.shape) == (torch.float32, (SEGMENT,))
    assert audio.peak_db(segment).item() == pytest.approx(-3, abs=1e-4)
    start = int(fraction * (len(whole) - SEGMENT + 1)) if len(whole) > SEGMENT else 0
    expected = audio.normalise_peak(whole[start : start + SEGMENT], -3)
    torch.testing.assert_close(segment[: len(expected)], expected)
    assert segment[len(expected) :].abs().sum() == 0


def test_a_silent_file_stays_silent(tmp_path: Path) -> None:
    audio.write(tmp_path / "silence.wav", torch.zeros(8000), RATE)
    dataset = SegmentDataset({"clean": [Entry(tmp_path / "silence.wav", 0.5)]}, RATE, SEGMENT)
    assert dataset[0]["clean"].abs().max() == 0


@pytest.fixture(scope="module", params=[1, 2])
def long_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "a.flac"
    audio.write(path, speech(3 * RATE, request.param, 1), RATE)
    return path


@settings(max_examples=30, deadline=None)
@given(
    fraction=st.floats(0, 1, exclude_max=True),
    rate=st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]),
    seconds=st.floats(0.01, 4),
)
def test_a_stretch_is_that_part_of_the_whole_file_resampled(
    long_file: Path, fraction: float, rate: int, seconds: float
) -> None:
    recording, from_hz = audio.read(long_file)
    whole = audio.resample(recording.mean(dim=0), from_hz, rate)
    samples = int(rate * seconds)
    found = cut(long_file, rate, samples, fraction)
    start = (
        min(int(fraction * (len(whole) - samples + 1)), len(whole) - samples)
        if samples < len(whole)
        else 0
    )
    expected = whole[start : start + samples]
    assert found.shape == expected.shape
    assert (found - expected).abs().max() < 1e-5


def test_channels_are_averaged(tmp_path: Path) -> None:
    audio.write(tmp_path / "a.wav", torch.tensor([[0.5] * 100, [0.25] * 100]), RATE)
    assert cut(tmp_path / "a.wav", RATE, 100, 0.0).unique().tolist() == [0.375]


# validation


def test_held_out_items_are_the_middles_of_files_spread_evenly(entries: list[Entry]) -> None:
    dataset = SegmentDataset({"clean": entries}, RATE, SEGMENT)
    found = dataset.held_out(2)
    assert same(found, dataset.held_out(2))
    middle = audio.read(entries[1].path)[0][0][1600:3200]
    torch.testing.assert_close(found[0]["clean"], audio.normalise_peak(middle, -3))
    assert len(dataset.held_out(99)) == 5
    both = SegmentDataset({"clean": entries, "degraded": entries[:3]}, RATE, SEGMENT)
    assert [sorted(item) for item in both.held_out(99)] == [["clean", "degraded"]] * 3


# streams that belong together


@settings(max_examples=20, deadline=None)
@given(item=st.integers(0, 10**6))
def test_pairs_are_cut_at_the_same_place(
    entries: list[Entry], dataset: SegmentDataset, item: int
) -> None:
    paired_dataset = SegmentDataset(
        {"paired_degraded": entries, "paired_clean": entries, "clean": entries},
        RATE,
        SEGMENT,
        seed=5,
        follows={"paired_degraded": "paired_clean"},
    )
    found = paired_dataset[item]
    assert torch.equal(found["paired_degraded"], found["paired_clean"])
    assert torch.equal(found["clean"], dataset[item]["clean"])  # drawn apart, as before


@settings(max_examples=20, deadline=None)
@given(item=st.integers(0, 10**6), grid=st.sampled_from([1, 7, 256]))
def test_stretches_begin_on_the_grid_and_numbers_beside_them_know_where(
    entries: list[Entry], item: int, grid: int
) -> None:
    def where(entry: Entry, start: int, samples: int, gain: float) -> Tensor:
        return torch.tensor([start, samples, gain])

    beside = {"clean/where": where}
    dataset = SegmentDataset({"clean": entries}, RATE, SEGMENT, beside=beside, grid_samples=grid)
    found = dataset[item]
    start, samples, gain = found["clean/where"].tolist()
    assert (start % grid, samples) == (0, SEGMENT)
    whole = audio.read(dataset.place("clean", item)[0].path)[0][0]
    heard = gain * whole[int(start) :][:SEGMENT]
    torch.testing.assert_close(found["clean"][: len(heard)], heard)


def test_batches_hold_the_labels_of_the_files(entries: list[Entry]) -> None:
    labelled = [entry._replace(label=f"tape {number}") for number, entry in enumerate(entries)]
    numbers = {entry.label: number + 3 for number, entry in enumerate(labelled)}
    beside = {"degraded/label": Labels(numbers)}
    dataset = SegmentDataset({"degraded": labelled}, RATE, SEGMENT, beside=beside)
    batch = batches(dataset, 1)[0]
    wanted = [numbers[dataset.place("degraded", item)[0].label] for item in range(2)]
    assert batch["degraded/label"].tolist() == wanted


# errors


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_ends_the_batches_with_one_line(tmp_path: Path, workers: int) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound at all")
    dataset = SegmentDataset({"clean": [Entry(tmp_path / "a.wav", 1.0)]}, RATE, SEGMENT)
    with pytest.raises(AudioError, match=r"a\.wav: not audio") as caught:
        next(loader(dataset, 2, workers=workers))
    assert "\n" not in str(caught.value)


def test_settings_that_make_no_sense_are_refused(
    entries: list[Entry], dataset: SegmentDataset
) -> None:
    with pytest.raises(ExperimentError, match="the stream 'degraded' has no files"):
        SegmentDataset({"clean": entries, "degraded": []}, RATE, SEGMENT)
    with pytest.raises(ExperimentError, match="segments of 0 samples"):
        SegmentDataset({"clean": entries}, RATE, 0)
    with pytest.raises(ExperimentError, match="batch_size=0"):
        loader(dataset, 0)
    with pytest.raises(ExperimentError, match="rank=2 of 2"):
        loader(dataset, 1, rank=2, world_size=2)
