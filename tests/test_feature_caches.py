"""Slow features are computed once a file, and a stretch gets its own rows."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selfremaster.core import audio
from selfremaster.core.corpora import Entry
from selfremaster.core.errors import AudioError, BundleError, SelfRemasterError
from selfremaster.core.feature_caches import FeatureCache, folder_beside
from selfremaster.core.promises.stubs import HOP_SAMPLES
from selfremaster.core.segments import SegmentDataset
from tests import cached, tiny

FEATURES = cached.make()
RATE = FEATURES.sample_rate
SAMPLES = 40 * HOP_SAMPLES


def write(path: Path, seed: int, level: float = 1.0) -> Entry:
    sound = level * tiny.speech_like(0.7, seed)
    audio.write(path, sound, RATE, subtype="FLOAT")
    return Entry(path, sound.shape[-1] / RATE)


@pytest.fixture(scope="module")
def entries(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    folder = tmp_path_factory.mktemp("speech")
    return [write(folder / f"{number}.wav", number) for number in range(3)]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "computed.txt"
    path.touch()
    monkeypatch.setenv(cached.LOG_VARIABLE, str(path))
    return path


def computed(log: Path) -> list[str]:
    return log.read_text().split()


def test_each_file_is_computed_once_and_only_what_is_asked_for(
    entries: list[Entry], tmp_path: Path, log: Path
) -> None:
    cache = FeatureCache(FEATURES, tmp_path / "kept")
    told: list[tuple[int, int]] = []
    twice = [*entries, *entries]
    assert cache.fill(twice, ["source"], told=lambda *numbers: told.append(numbers)) == 3
    assert computed(log) == ["source"] * 3
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert cache.fill(entries, ["source"]) == 0
    assert cache.fill(entries) == 3
    assert computed(log) == ["source"] * 3 + ["target"] * 3
    assert cache.fill(entries) == 0


def test_what_is_kept_follows_content_and_settings(tmp_path: Path, log: Path) -> None:
    entry = write(tmp_path / "a.wav", 1)
    cache = FeatureCache(FEATURES, tmp_path / "kept")
    assert cache.fill([entry], ["target"]) == 1
    copied = tmp_path / "copy.wav"
    copied.write_bytes(entry.path.read_bytes())
    assert cache.fill([Entry(copied, entry.seconds)], ["target"]) == 0
    assert FeatureCache(cached.make(offset=1.0), cache.folder).fill([entry], ["target"]) == 1
    write(entry.path, 2)
    assert cache.fill([entry], ["target"]) == 1
    assert len(list(cache.folder.iterdir())) == 3


def test_several_processes_keep_the_same(entries: list[Entry], tmp_path: Path, log: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder, processes in zip(folders, (1, 2), strict=True):
        assert FeatureCache(FEATURES, folder).fill(entries, processes=processes) == 3
    assert computed(log).count("target") == 6
    first, second = ({path.name: path.read_bytes() for path in one.iterdir()} for one in folders)
    assert first == second


@settings(max_examples=20, deadline=None)
@given(item=st.integers(0, 10**6))
def test_a_stretch_has_the_rows_that_it_would_give_itself(entries: list[Entry], item: int) -> None:
    cache = FeatureCache(FEATURES, entries[0].path.parent / "kept")
    cache.fill(entries)
    beside = {f"clean/{word}": cache.rows(word) for word in ("source", "target")}
    dataset = SegmentDataset(
        {"clean": entries}, RATE, SAMPLES, beside=beside, grid_samples=HOP_SAMPLES
    )
    found = dataset[item]
    wanted = FEATURES.target(found["clean"][None])[0]
    inner = slice(2, -2)  # at its ends the stretch hears silence where the file goes on
    torch.testing.assert_close(found["clean/target"][:, inner], wanted[:, inner], atol=2e-3, rtol=0)
    assert found["clean/source"].shape == (1, FEATURES.frames(SAMPLES))


def test_behind_a_short_file_lies_silence(tmp_path: Path) -> None:
    entry = write(tmp_path / "short.wav", 3)
    cache = FeatureCache(FEATURES, folder_beside(tmp_path))
    cache.fill([entry])
    found = cache.rows("target")(entry, 0, 100 * RATE, 1.0)
    assert found.shape == (4, FEATURES.frames(100 * RATE))
    assert found[:, -1].tolist() == pytest.approx([FEATURES.silence] * 4, abs=1e-3)


def test_quiet_files_have_the_rows_of_loud_ones(tmp_path: Path) -> None:
    loud, quiet = write(tmp_path / "loud.wav", 4), write(tmp_path / "quiet.wav", 4, level=1e-3)
    cache = FeatureCache(FEATURES, tmp_path / "kept")
    cache.fill([loud, quiet])
    rows = cache.rows("target")
    torch.testing.assert_close(
        rows(loud, 0, SAMPLES, 0.5), rows(quiet, 0, SAMPLES, 500.0), atol=1e-3, rtol=0
    )


def test_damaged_rows_and_sounds_are_told_in_one_line(entries: list[Entry], tmp_path: Path) -> None:
    cache = FeatureCache(FEATURES, tmp_path / "kept")
    rows = cache.rows("target")
    with pytest.raises(BundleError, match="are gone or damaged; remove the file"):
        rows(entries[0], 0, SAMPLES, 1.0)
    cache.fill(entries[:1], ["target"])
    (kept,) = cache.folder.iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(BundleError, match=r"0\.wav are gone or damaged; remove the file"):
        rows(entries[0], 0, SAMPLES, 1.0)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(AudioError, match=r"bad\.wav: not audio"):
        cache.fill([Entry(tmp_path / "bad.wav", 1.0)])


def test_a_bad_file_lets_the_others_be_kept_and_a_bad_folder_stops_at_once(
    entries: list[Entry], tmp_path: Path, log: Path, recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    mixed = [Entry(tmp_path / "bad.wav", 1.0), *entries]
    cache = FeatureCache(FEATURES, tmp_path / "kept")
    with pytest.raises(AudioError, match=r"bad\.wav: not audio"):
        cache.fill(mixed, ["target"])
    assert len(list(cache.folder.iterdir())) == len(computed(log)) == len(entries)
    (tmp_path / "file").touch()
    with pytest.raises(SelfRemasterError, match=r"cannot write .*choose a folder"):
        FeatureCache(FEATURES, tmp_path / "file").fill(entries, ["target"])
    assert len(computed(log)) == len(entries) + 1
    assert not [one for one in recwarn if "cancelled" in str(one.message)]
