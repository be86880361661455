"""Manifests say what a corpus holds, and a file stays in its split."""

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from selfremaster.core import audio, manifests
from selfremaster.core.corpora import entries_from, number_labels, paired
from selfremaster.core.errors import AudioError, ExperimentError
from selfremaster.core.splits import SPLITS, draw_splits

NAMES = st.text("abcdefgh", min_size=1, max_size=6)
KINDS = ["single", "multi-seen", "multi-unseen"]
FRACTIONS = (0.6, 0.2, 0.2)
CROWD = {f"crowd{index}": "" for index in range(60)}


def corpus(folder: Path, names: Iterable[str], samples: int = 800) -> Path:
    for number, name in enumerate(names):
        audio.write(folder / name, torch.full((samples,), number / 100), 8000)
    return folder


def people(count: int, files: int) -> dict[str, str]:
    return {
        f"speaker{person}/{file}.wav": f"speaker{person}"
        for person in range(count)
        for file in range(files)
    }


# splits


@pytest.mark.parametrize("kind", KINDS)
@given(
    speakers=st.dictionaries(NAMES, NAMES, min_size=3, max_size=40),
    seed=st.integers(0, 1000),
    order=st.randoms(use_true_random=False),
)
def test_splits_follow_from_the_names_alone(
    kind: str, speakers: dict[str, str], seed: int, order: Random
) -> None:
    shuffled = list(speakers.items())
    order.shuffle(shuffled)
    first = draw_splits(speakers, kind, FRACTIONS, seed)
    assert draw_splits(dict(shuffled), kind, FRACTIONS, seed) == first
    assert first.keys() == speakers.keys()
    assert set(first.values()) <= set(SPLITS)
    assert "train" in first.values()


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=40)
@given(more=st.integers(1, 10), seed=st.integers(0, 1000))
def test_no_file_changes_its_split_when_others_are_added(kind: str, more: int, seed: int) -> None:
    before = people(9, 9)
    after = before | people(9, 9 + more)
    if kind != "multi-seen":
        after |= people(9 + more, 1)
    old = draw_splits(before, kind, FRACTIONS, seed)
    new = draw_splits(after, kind, FRACTIONS, seed)
    groups = set(before.values()) if kind == "multi-seen" else {""}
    for group in groups:
        own = [name for name, speaker in before.items() if group in {"", speaker}]
        units = {before[name] if kind == "multi-unseen" else name for name in own}
        if {chance(unit, seed) for unit in units} == set(SPLITS):  # nothing had to be moved
            assert [new[name] for name in own] == [old[name] for name in own]
        else:
            assert {new[name] for name in own} <= set(SPLITS)


def chance(name: str, seed: int) -> str:
    """The split of a name among so many others that no split is empty."""
    return draw_splits({name: ""} | CROWD, "single", FRACTIONS, seed)[name]


@pytest.mark.parametrize("count", range(3, 12))
@given(seed=st.integers(0, 300))
def test_three_items_are_enough_for_three_splits(count: int, seed: int) -> None:
    names = {f"{index}.wav": "" for index in range(count)}
    assert set(draw_splits(names, "single", (0.9, 0.05, 0.05), seed).values()) == set(SPLITS)
    unseen = draw_splits(people(count, 2), "multi-unseen", (0.9, 0.05, 0.05), seed)
    assert set(unseen.values()) == set(SPLITS)


@given(seed=st.integers(0, 300))
def test_speakers_are_in_one_split_or_in_all(seed: int) -> None:
    speakers = people(5, 4)
    unseen = draw_splits(speakers, "multi-unseen", FRACTIONS, seed)
    seen = draw_splits(speakers, "multi-seen", FRACTIONS, seed)
    for person in set(speakers.values()):
        own = [name for name, who in speakers.items() if who == person]
        assert len({unseen[name] for name in own}) == 1
        assert {seen[name] for name in own} == set(SPLITS)


@given(seed=st.integers(0, 300))
def test_a_fraction_of_nothing_gets_nothing(seed: int) -> None:
    names = {f"{index}.wav": "" for index in range(20)}
    assert set(draw_splits(names, "single", (1, 0, 0), seed).values()) == {"train"}
    assert set(draw_splits(names, "single", (0.5, 0, 0.5), seed).values()) == {"train", "test"}


def test_fractions_are_met_on_average() -> None:
    splits = list(
        draw_splits({f"{n}.wav": "" for n in range(4000)}, "single", FRACTIONS, 1).values()
    )
    for split, fraction in zip(SPLITS, FRACTIONS, strict=True):
        assert splits.count(split) / 4000 == pytest.approx(fraction, abs=0.03)


# building, writing and reading


def test_what_is_built_is_read_again(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "speech", ["anna/1.wav", "anna/a, b.flac", "bert/ü.wav"])
    built = manifests.build(folder, "multi-seen", seed=3)
    assert [item.path for item in built.items] == ["anna/1.wav", "anna/a, b.flac", "bert/ü.wav"]
    assert built.speakers() == ["anna", "bert"]
    assert (built.items[0].seconds, built.items[0].sample_rate, built.items[0].channels) == (
        0.1,
        8000,
        1,
    )
    manifests.write(built, folder / "manifest.csv")
    assert manifests.read(folder / "manifest.csv") == built


def test_a_manifest_beside_its_corpus_finds_it(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "speech", ["1.wav", "2.wav", "3.wav"])
    built = manifests.build(folder)
    manifests.write(built, tmp_path / "lists" / "all.csv")
    back = manifests.read(tmp_path / "lists" / "all.csv")
    assert [item.path for item in back.items] == [f"../speech/{n}.wav" for n in (1, 2, 3)]
    assert all(back.file(item).is_file() for item in back.items)
    assert {item.speaker for item in back.items} == {"speech"}


def test_a_foreign_manifest_needs_path_and_split_alone(tmp_path: Path) -> None:
    text = '\ufeffpath,split,text\r\nb.wav,held-out,"Well, well."\r\na.wav,train,\r\n'
    (tmp_path / "m.csv").write_text(text, encoding="utf-8", newline="")
    back = manifests.read(tmp_path / "m.csv")
    assert [(item.path, item.split, dict(item.others)) for item in back.items] == [
        ("a.wav", "train", {"text": ""}),
        ("b.wav", "held-out", {"text": "Well, well."}),
    ]
    assert back.splits() == {"train": 1, "held-out": 1}
    manifests.write(back, tmp_path / "n.csv")
    assert manifests.read(tmp_path / "n.csv") == back


def test_the_hash_is_that_of_what_is_learned_from(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "speech", ["1.wav", "2.wav", "3.wav"])
    first = manifests.build(folder)
    turned = manifests.Manifest(folder, first.items[::-1])
    assert manifests.content_hash(first) == manifests.content_hash(turned)
    audio.write(folder / "2.wav", torch.full((800,), 0.9), 8000)
    assert manifests.content_hash(manifests.build(folder)) != manifests.content_hash(first)


def test_the_speaker_can_be_a_deeper_folder(tmp_path: Path) -> None:
    folder = corpus(tmp_path, ["clean/19/a.wav", "clean/26/b.wav", "other/19/c.wav"])
    assert manifests.build(folder, "multi-unseen", speaker_depth=2).speakers() == ["19", "26"]


# errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not a manifest: no column path and split"),
        ("path,seconds\na.wav,1\n", "no column split in its first line; required are path, split"),
        ("path,split,path\n", "a column comes twice"),
        ("path,split\n", "a manifest without files"),
        ("path,split\na.wav\n", "row 2: 1 values for 2 columns"),
        ("path,split\na.wav,train\n./a.wav,val\n", r"row 3: a\.wav comes a second time"),
        ("path,split\n/etc/a.wav,train\n", "row 2: path '/etc/a.wav'; write it relative"),
        ("path,split\n,train\n", "row 2: path ''"),
        ("path,split\na.wav,\n", "row 2: no split; write train, val, test"),
        (
            "path,split,seconds\na.wav,train,long\n",
            "row 2: seconds is 'long', not a number above 0",
        ),
        ("path,split,seconds\na.wav,train,nan\n", "seconds is 'nan'"),
        ("path,split,channels\na.wav,train,1.5\n", "channels is 1.5, not a whole number"),
        ('path,split\n"a.wav,train\n', "not a manifest"),
        ("path,split\n\udcff\udcfe,train\n", "not a manifest"),
    ],
)
def test_what_is_no_manifest_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "m.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ExperimentError, match=message) as caught:
        manifests.read(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@settings(max_examples=50)
@given(content=st.binary(max_size=80))
def test_garbage_is_refused_in_one_line(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "m.csv")
        path.write_bytes(content)
        with pytest.raises(ExperimentError) as caught:
            manifests.read(path)
    assert "\n" not in str(caught.value)


def test_corpora_that_cannot_be_built_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no sound files in it"):
        manifests.build(tmp_path)
    with pytest.raises(ExperimentError, match="not a folder"):
        manifests.build(tmp_path / "none")
    corpus(tmp_path, ["anna/1.wav", "anna/2.wav"])
    with pytest.raises(ExperimentError, match=r"needs two speakers or more.* one \(anna\)"):
        manifests.build(tmp_path, "multi-unseen")
    with pytest.raises(
        ExperimentError, match="no kind of corpus 'many'; known: single, multi-seen"
    ):
        manifests.build(tmp_path, "many")  # type: ignore[arg-type]  # a wrong value, on purpose
    with pytest.raises(ExperimentError, match="speaker_depth=0"):
        manifests.build(tmp_path, speaker_depth=0)
    with pytest.raises(ExperimentError, match="which make 1 together"):
        manifests.build(tmp_path, fractions=(0.9, 0.2, 0.1))
    corpus(tmp_path, ["loose.wav"])
    with pytest.raises(ExperimentError, match=r"loose\.wav: lies in no speaker's folder"):
        manifests.build(tmp_path, "multi-seen")


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    corpus(tmp_path, ["1.wav", "2.wav", "3.wav"], samples=8000)
    (tmp_path / "1.wav").write_bytes(b"no sound")
    (tmp_path / "3.wav").write_bytes((tmp_path / "3.wav").read_bytes()[:9000])
    with pytest.raises(
        AudioError, match=r"2 of 3 files .*1\.wav: not audio.* \| .*3\.wav: truncated"
    ):
        manifests.build(tmp_path)


# choosing files


def test_entries_come_from_folders_and_manifests(tmp_path: Path) -> None:
    folder = corpus(tmp_path / "s", ["anna/1.wav", "anna/2.wav", "anna/3.wav", "bert/1.wav"])
    listed = folder / "m.csv"
    manifests.write(manifests.build(folder, "multi-seen"), listed)
    everything = entries_from(folder=folder)
    assert entries_from(manifest=listed) == everything
    assert [entry.seconds for entry in everything] == [0.1] * 4
    assert entries_from(folder=folder, speakers=["bert"]) == everything[3:]
    assert entries_from(manifest=listed, speakers=["bert"]) == everything[3:]
    parts = [entry for split in SPLITS for entry in entries_from(manifest=listed, split=split)]
    assert sorted(parts) == everything


def test_an_empty_choice_says_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("path,split,speaker\na.wav,train,anna\nb.wav,val,bert\n")
    listed = tmp_path / "m.csv"
    for settings_given, message in [
        ({"manifest": listed, "split": "tran"}, "no split 'tran'; did you mean 'train'"),
        ({"manifest": listed, "speakers": ["carl"]}, "no speaker 'carl'; known: anna, bert"),
        ({"manifest": listed, "split": "val", "speakers": ["anna"]}, "nothing of anna .* has bert"),
        ({"manifest": listed}, r"2 of 2 files are not in .*: a\.wav, b\.wav"),
        ({"manifest": listed, "folder": tmp_path}, "one of the two"),
        ({"folder": tmp_path, "split": "val"}, "a folder has no splits, and 'val' is asked for"),
        ({"folder": tmp_path}, "no sound files in it"),
        ({"folder": tmp_path / "none"}, "no such file or folder"),
        ({"manifest": tmp_path / "none.csv"}, "no such file"),
    ]:
        with pytest.raises(ExperimentError, match=message):
            entries_from(**settings_given)  # type: ignore[arg-type]  # a wrong value, on purpose


# pairs and labels


def write_corpus(folder: Path, suffix: str, rate: int, names: Sequence[str]) -> Path:
    for number, name in enumerate(names):
        wave = torch.full((1, (number + 1) * rate // 10), 0.1)
        audio.write(folder / f"{name}.{suffix}", wave, rate)
    listed = folder.with_suffix(".csv")  # beside the folder, whose name its paths begin with
    rows = [f"{folder.name}/{name}.{suffix},train" for name in names]
    listed.write_text("\n".join(["path,split", *rows]) + "\n", encoding="utf-8")
    return listed


def test_pairs_are_matched_by_path_below_the_folder_that_all_of_a_manifest_lie_in(
    tmp_path: Path,
) -> None:
    names = ["ann/one", "ann/two", "bert/one"]
    clean = entries_from(manifest=write_corpus(tmp_path / "clean", "flac", 8000, names))
    tapes = entries_from(manifest=write_corpus(tmp_path / "tapes", "wav", 16000, names[:2]))
    degraded, originals = paired(tapes, clean)
    assert [entry.path.stem for entry in degraded] == ["one", "two"]
    with pytest.raises(ExperimentError, match="have no clean version of the same path"):
        paired(clean, tapes)
    full = entries_from(manifest=write_corpus(tmp_path / "discs", "wav", 16000, names))
    assert [entry.path.parts[-2:] for entry in paired(full, clean)[1]] == [
        ("ann", "one.flac"),
        ("ann", "two.flac"),
        ("bert", "one.flac"),
    ]
    with pytest.raises(ExperimentError, match="is there with several suffixes; keep one"):
        paired(full, [*clean, clean[0]])
    longer = [clean[0]._replace(seconds=9.0), *clean[1:]]
    with pytest.raises(ExperimentError, match=r"lasts 0\.10 s and .* 9\.00 s; pairs are"):
        paired(full, longer)
    assert len(originals) == 2


def test_labels_are_numbers_or_numbered_over_all_manifests(tmp_path: Path) -> None:
    def write_rows(name: str, labels: Sequence[str]) -> Path:
        path = tmp_path / name
        rows = [f"{number}.wav,train,{label}" for number, label in enumerate(labels)]
        path.write_text("\n".join(["path,split,tape", *rows]) + "\n", encoding="utf-8")
        return path

    numbers = write_rows("numbers.csv", ["10", "2", "7"])
    assert number_labels([(numbers, "tape")]) == {"10": 10, "2": 2, "7": 7}
    first, second = write_rows("a.csv", ["red", "blue"]), write_rows("b.csv", ["green", ""])
    assert number_labels([(first, "tape"), (second, "tape")]) == {"blue": 0, "green": 1, "red": 2}
    with pytest.raises(ExperimentError, match=r"no column 'reel'; known: speaker, tape"):
        number_labels([(first, "reel")])
