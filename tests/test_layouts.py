"""Published corpora as they unpack: which files are speech, who speaks, and which splits."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from selfremaster.benchmarks.corpora import read_corpus
from selfremaster.benchmarks.grids import CorpusSettings
from selfremaster.core import audio, layouts, manifests
from selfremaster.core.errors import ExperimentError
from selfremaster.core.layouts import LAYOUTS
from tests.cli import run

TREES = {
    "jsut": (
        ("basic5000/wav/BASIC5000_0001.wav", "jsut"),
        ("basic5000/wav/BASIC5000_0002.wav", "jsut"),
        ("travel1000/wav/TRAVEL1000_0001.wav", "jsut"),
    ),
    "jvs": (
        ("jvs001/nonpara30/wav24kHz16bit/BASIC5000_0025.wav", "jvs001"),
        ("jvs001/parallel100/wav24kHz16bit/VOICEACTRESS100_001.wav", "jvs001"),
        ("jvs002/parallel100/wav24kHz16bit/VOICEACTRESS100_001.wav", "jvs002"),
    ),
    "vctk": (
        ("wav48_silence_trimmed/p225/p225_001_mic1.flac", "p225"),
        ("wav48_silence_trimmed/s5/s5_001_mic1.flac", "s5"),
    ),
    "vctk-mic2": (("wav48_silence_trimmed/p225/p225_001_mic2.flac", "p225"),),
    "ljspeech": (("wavs/LJ001-0001.wav", "ljspeech"), ("wavs/LJ001-0002.wav", "ljspeech")),
    "libritts": (
        ("dev-clean/84/121123/84_121123_000007_000001.wav", "84"),
        ("test-other/1688/142285/1688_142285_000000_000000.wav", "1688"),
        ("train-clean-100/103/1241/103_1241_000000_000001.wav", "103"),
    ),
}
"""Files of each corpus, and who speaks in them."""
OTHERS = {
    "jsut": ("basic5000/transcript_utf8.txt", "basic5000/wav/.BASIC5000_0003.wav", "notes/a.wav"),
    "jvs": (
        "jvs001/whisper10/wav24kHz16bit/VOICEACTRESS100_001.wav",
        "jvs001/falset10/wav24kHz16bit/VOICEACTRESS100_001.wav",
        "speaker_f0range.txt",
    ),
    "vctk": (
        "wav48_silence_trimmed/p225/p225_001_mic2.flac",
        "txt/p225/p225_001.txt",
        "wav48_silence_trimmed/log.txt",
    ),
    "vctk-mic2": ("wav48_silence_trimmed/p225/p225_001_mic1.flac",),
    "ljspeech": ("metadata.csv", "README"),
    "libritts": ("train-clean-100/103/1241/103_1241_000000_000001.normalized.txt", "SPEAKERS.txt"),
}
"""What lies beside them, and is not wanted."""


def unpack(name: str, folder: Path) -> Path:
    """A small tree as the archive makes it, with real sounds."""
    wave = 0.1 * torch.ones(1, 480)
    for place in [place for place, _ in TREES[name]] + list(OTHERS[name]):
        if place.endswith((".wav", ".flac")):
            audio.write(folder / place, wave, 24000)
        else:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_text("LJ001-0001|Printing|Printing\n")
    return folder


def test_every_layout_has_its_tree() -> None:
    assert set(TREES) == set(OTHERS) == set(LAYOUTS)
    literal = CorpusSettings.model_fields["layout"].annotation
    assert set(getattr(literal, "__args__", ())) == {"files", *LAYOUTS}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_corpus_is_read_as_it_unpacks(name: str, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / "corpus")
    rows = layouts.read(name, folder)
    assert [(row.path, row.speaker) for row in rows] == sorted(TREES[name])
    assert {row.split for row in rows} <= {"train", "val", "test"}
    assert layouts.read(name, folder) == rows


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_folder_above_and_a_part_will_do(name: str, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / "downloads" / "corpus-1.0")
    above = layouts.read(name, tmp_path / "downloads")
    assert [row.path for row in above] == sorted(f"corpus-1.0/{path}" for path, _ in TREES[name])
    first = TREES[name][0][0].partition("/")[0]
    if first != "wavs":
        part = layouts.read(name, folder / first)
        assert [row.speaker for row in part] == [
            speaker for path, speaker in sorted(TREES[name]) if path.startswith(f"{first}/")
        ]


def test_libritts_brings_its_splits(tmp_path: Path) -> None:
    rows = layouts.read("libritts", unpack("libritts", tmp_path))
    assert [(row.speaker, row.split) for row in rows] == [
        ("84", "val"),
        ("1688", "test"),
        ("103", "train"),
    ]


@given(seed=st.integers(0, 99))
def test_nobody_is_in_two_splits(seed: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("jvs")
    for number in range(1, 13):
        for sentence in range(2):
            place = f"jvs{number:03d}/parallel100/wav24kHz16bit/{sentence}.wav"
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).touch()
    rows = layouts.read("jvs", folder, (0.5, 0.25, 0.25), seed)
    splits = {row.speaker: row.split for row in rows}
    assert len(splits) == 12
    assert all(splits[row.speaker] == row.split for row in rows)
    assert set(splits.values()) == {"train", "val", "test"}


@pytest.mark.parametrize("name", LAYOUTS)
def test_another_folder_is_refused_by_what_was_expected(name: str, tmp_path: Path) -> None:
    audio.write(tmp_path / "songs" / "a.wav", torch.ones(1, 9), 8000)
    with pytest.raises(ExperimentError) as told:
        layouts.read(name, tmp_path)
    expected = LAYOUTS[name].example
    assert str(told.value) == (
        f"{tmp_path}: is not {name} as it unpacks; expected files such as {expected} in it"
    )


def test_wrong_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match=r"no layout 'vctkk'; did you mean 'vctk'\?"):
        layouts.read("vctkk", tmp_path)
    with pytest.raises(ExperimentError, match="nowhere: no such folder; name the one that jvs"):
        layouts.read("jvs", tmp_path / "nowhere")


def test_a_manifest_is_made_of_a_layout(tmp_path: Path) -> None:
    folder = unpack("libritts", tmp_path / "LibriTTS")
    told = run("manifest", folder, "--layout", "libritts", "--output", tmp_path / "m.csv")
    assert (told.code, told.err) == (0, "")
    made = manifests.read(tmp_path / "m.csv")
    assert made.splits() == {"train": 1, "val": 1, "test": 1}
    assert made.speakers() == ["103", "1688", "84"]
    assert {item.sample_rate for item in made.items} == {24000}
    assert all(item.sha256 and made.file(item).is_file() for item in made.items)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--layout", "vctk"), "is not vctk as it unpacks; expected files such as wav48"),
        (("--layout", "vctc"), "no layout 'vctc'; did you mean 'vctk'?"),
        (
            ("--layout", "libritts", "--kind", "single", "--val", "0.1"),
            "--layout libritts brings speakers and splits; leave out --kind and --val",
        ),
    ],
)
def test_a_bad_layout_is_one_line(words: tuple[str, ...], error: str, tmp_path: Path) -> None:
    folder = unpack("libritts", tmp_path / "LibriTTS")
    assert error in run("manifest", folder, *words, "--output", tmp_path / "m.csv").error
    assert not (tmp_path / "m.csv").exists()


def test_a_benchmark_reads_a_layout(tmp_path: Path) -> None:
    folder = unpack("libritts", tmp_path / "LibriTTS")
    corpus = read_corpus("speech", CorpusSettings(folder=folder, layout="libritts"))
    assert [(piece.speaker, piece.split) for piece in corpus.pieces] == [("1688", "test")]
