"""`selfremaster degrade`: what is drawn is logged, and replayed to the bit."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core import audio, degrading, manifests
from selfremaster.core.degrading import Step, degrade, generator_for
from selfremaster.core.errors import ComponentError
from selfremaster.registry.building import build
from tests.cli import SPEECH, left_behind, run, tone, write_tone
from tests.strategies import seeds, waves

DRAWN = "clip:ratio=[0.1, 0.9]"


def test_the_same_again_from_the_log(tmp_path: Path) -> None:
    clean = SPEECH / "heart" / "heart-1.flac"
    steps = ("--degradation", DRAWN, "--degradation", "band-limit:cutoff_hz=[500,4000]")
    told = run("degrade", clean, "--output", f"{tmp_path}/old/", *steps, "--seed", "7")
    assert (told.code, told.err) == (0, "")
    assert told.out == f"{clean} -> {tmp_path}/old/heart-1.flac\n"
    assert left_behind(tmp_path) == ["old/heart-1.flac", "old/heart-1.json"]
    log = tmp_path / "old" / "heart-1.json"
    again = tmp_path / "again.flac"
    assert run("degrade", clean, "--output", again, "--replay", log).code == 0
    assert again.read_bytes() == (tmp_path / "old" / "heart-1.flac").read_bytes()
    first, second = (json.loads(path.read_text()) for path in (log, tmp_path / "again.json"))
    assert first["source"] == second["source"] == "heart-1.flac"
    assert (first["seed"], second["seed"], first["sample_rate"]) == (7, None, 22050)
    assert [step["degradation"] for step in first["degradations"]] == ["clip", "band-limit"]
    assert first["degradations"][0]["settings"]["ratio"] == [0.1, 0.9]
    assert 0.1 <= first["degradations"][0]["parameters"]["ratio"] <= 0.9
    assert first["degradations"] == second["degradations"]


def test_a_file_is_damaged_alike_whatever_lies_beside_it(tmp_path: Path) -> None:
    few, many = tmp_path / "few", tmp_path / "many"
    for name in ("a", "b", "c"):
        write_tone(many / f"{name}.wav")
    write_tone(few / "b.wav")
    for folder in (few, many):
        words = ("--output", tmp_path / "out" / folder.name, "--degradation", DRAWN)
        assert run("degrade", folder, *words, "--quiet") == (0, "", "")
    results = tmp_path / "out"
    assert (results / "few/b.json").read_bytes() == (results / "many/b.json").read_bytes()
    assert (results / "few/b.wav").read_bytes() == (results / "many/b.wav").read_bytes()
    logs = [json.loads((results / f"many/{name}.json").read_text()) for name in "abc"]
    ratios = {log["degradations"][0]["parameters"]["ratio"] for log in logs}
    assert len(ratios) == 3


def test_another_seed_is_another_damage(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav")
    for seed in ("0", "1"):
        words = ("--output", tmp_path / f"{seed}.wav", "--degradation", DRAWN, "--seed", seed)
        assert run("degrade", tmp_path / "a.wav", *words).code == 0
    assert (tmp_path / "0.wav").read_bytes() != (tmp_path / "1.wav").read_bytes()


@given(wave=waves(max_samples=3000), seed=seeds(), gain_db=st.sampled_from([-20.0, 0.0]))
def test_the_result_stays_within_full_scale(wave: Tensor, seed: int, gain_db: float) -> None:
    part = build("degradation", f"clip:ratio=[0.2,1.0],peak_db={gain_db}")
    step = Step("clip", part)
    damaged, applied, gain = degrade(wave, 22050, [step], torch.Generator().manual_seed(seed))
    assert damaged.abs().max() <= 1.0001
    assert 0 < gain <= 1
    replayed = [Step("clip", part, applied[0].parameters)]
    again, _, _ = degrade(wave, 22050, replayed, torch.Generator().manual_seed(seed + 1))
    assert torch.equal(again, damaged)


def test_what_exceeds_full_scale_is_made_softer_and_the_gain_is_logged(tmp_path: Path) -> None:
    loud = tmp_path / "loud.wav"
    audio.write(loud, 8 * tone(), 22050, subtype="FLOAT")
    told = run(
        "degrade", loud, "--output", tmp_path / "o.wav", "--degradation", "clip:ratio=0.5", "--json"
    )
    (made,) = json.loads(told.out)["degraded"]
    wave, _ = audio.read(tmp_path / "o.wav")
    assert wave.abs().max() == pytest.approx(1)
    assert made["gain"] == pytest.approx(1 / float(4 * tone().abs().max()), rel=1e-5)
    assert json.loads((tmp_path / "o.json").read_text())["gain"] == made["gain"]


def test_channels_get_the_same_clipping_and_the_file_keeps_its_kind(tmp_path: Path) -> None:
    wave = tone(3000, rate_hz=8000).expand(2, -1)
    audio.write(tmp_path / "two.wav", wave, 8000, subtype="PCM_24")
    words = ("--output", tmp_path / "o.wav", "--degradation", DRAWN)
    assert run("degrade", tmp_path / "two.wav", *words).code == 0
    damaged, rate_hz = audio.read(tmp_path / "o.wav")
    info = audio.inspect(tmp_path / "o.wav")
    assert (rate_hz, info.subtype, tuple(damaged.shape)) == (8000, "PCM_24", (2, 3000))
    assert torch.equal(damaged[0], damaged[1])
    assert not torch.allclose(damaged[0], wave[0], atol=0.01)


def test_the_chance_of_a_file_is_a_function_of_seed_and_place() -> None:
    numbers = {
        (seed, place): torch.rand(1, generator=generator_for(seed, place)).item()
        for seed in (0, 1)
        for place in ("a.wav", "b/a.wav", "ä.wav")
    }
    assert len(set(numbers.values())) == len(numbers)
    composed, decomposed = (generator_for(0, name) for name in ("\u00e4.wav", "a\u0308.wav"))
    assert composed.initial_seed() == decomposed.initial_seed()


def test_several_processes_and_a_folder_of_logs_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b/a", "b/c"):
        write_tone(tmp_path / "in" / f"{name}.wav")
    audio.write(tmp_path / "in" / "b" / "a.flac", tone(3000, 2), 8000)
    (tmp_path / "in" / "bad.wav").write_text("no sound")
    words = ("degrade", tmp_path / "in", "--quiet", "--output")
    drawn = ("--degradation", DRAWN, "--degradation", "noise", "--level", "match")
    one, several, again = (tmp_path / name for name in ("one", "several", "again"))
    told = run(*words, one, *drawn)
    assert told.code == 1
    assert run(*words, several, *drawn, "--jobs", "2") == (1, "", told.err)
    assert told.err.endswith("error: 1 of 5 files failed, the others are done\n")
    (tmp_path / "in" / "bad.wav").unlink()
    assert run(*words, again, "--replay", one, "--jobs", "2") == (0, "", "")
    written = left_behind(one)
    assert written == left_behind(several) == left_behind(again)
    assert "b/a.flac.json" in written
    for name in written:
        assert (one / name).read_bytes() == (several / name).read_bytes()
        if not name.endswith(".json"):
            assert (one / name).read_bytes() == (again / name).read_bytes()


@pytest.mark.parametrize("level", ["limit", "match", "-3", "-20.5"])
def test_the_level_is_logged_and_replayed(tmp_path: Path, level: str) -> None:
    clean = tmp_path / "clean.wav"
    audio.write(clean, tone(4000, 2), 22050, subtype="PCM_24")
    words = ("degrade", clean, "--output")
    drawn = ("--degradation", "clip:ratio=0.1", "--level", level)
    assert run(*words, tmp_path / "a.wav", *drawn).code == 0
    log = json.loads((tmp_path / "a.json").read_text())
    assert log["level"] == (level if level in ("limit", "match") else float(level))
    (before, _), (after, _) = audio.read(clean), audio.read(tmp_path / "a.wav")
    if level == "match":
        assert after.norm() == pytest.approx(float(before.norm()), rel=1e-4)
        assert log["gain"] > 2
    elif level == "limit":
        assert log["gain"] == 1
    else:
        assert 20 * after.abs().max().log10() == pytest.approx(float(level), abs=1e-3)
    assert run(*words, tmp_path / "b.wav", "--replay", tmp_path / "a.json").code == 0
    assert (tmp_path / "b.wav").read_bytes() == (tmp_path / "a.wav").read_bytes()
    replayed = json.loads((tmp_path / "b.json").read_text())
    assert (replayed["level"], replayed["gain"]) == (log["level"], log["gain"])


def test_a_manifest_lists_pairs_of_what_was_done(tmp_path: Path) -> None:
    for name in ("ann/1", "ann/2", "bert/1"):
        write_tone(tmp_path / "clean" / f"{name}.wav")
    (tmp_path / "clean" / "bert" / "bad.wav").write_text("no sound")
    out, pairs = tmp_path / "out", tmp_path / "lists" / "pairs.csv"
    words = ("degrade", tmp_path / "clean", "--output", out, "--degradation", "clip")
    told = run(*words, "--manifest", pairs, "--kind", "multi-unseen")
    assert told.code == 1
    assert told.out.splitlines()[-1] == f"3 pairs -> {pairs}"
    read = manifests.read(pairs)
    assert [item.path for item in read.items] == [
        f"../out/{name}.wav" for name in ("ann/1", "ann/2", "bert/1")
    ]
    assert read.items[0].others["clean"] == "../clean/ann/1.wav"
    splits = {(item.speaker, item.split) for item in read.items}
    assert {speaker for speaker, _ in splits} == {"ann", "bert"}
    assert len({split for _, split in splits}) == len(splits) == 2
    again = run(*words, "--manifest", pairs, "--overwrite", "--json")
    assert json.loads(again.out)["manifest"] == str(pairs)
    (tmp_path / "clean").rename(tmp_path / "gone")
    nothing = ("degrade", tmp_path / "gone" / "bert" / "bad.wav", "--degradation", "clip")
    kept = run(*nothing, "--output", tmp_path / "x.wav", "--manifest", tmp_path / "none.csv")
    assert "not audio, or damaged" in kept.error
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "give either --degradation"),
        (("--degradation", "clip", "--replay", "log.json"), "give either --degradation"),
        (("--degradation", "clp"), "no degradation named 'clp'; did you mean 'clip'?"),
        (("--degradation", "clip:ratio=2"), "degradation clip: ratio=2: Input should be less"),
        (("--degradation", "clip:ratoi=1"), "no setting 'ratoi'; did you mean 'ratio'?"),
        (("--degradation", "clip:ratio"), "'ratio' in 'clip:ratio' is not key=value"),
        (("--replay", "none.json"), "none.json: no such file; name the JSON beside"),
        (("--replay", "a.wav"), "a.wav: "),
        (
            ("--replay", "other.json"),
            "not a log that `selfremaster degrade` wrote: source is missing",
        ),
        (("--replay", "unknown.json"), "unknown.json: no degradation named 'clp'"),
        (("--replay", "range.json"), "bad parameters: ratio=7"),
        (("--replay", "sides.json"), "clip: parameters of 2 channels for a recording of 1; replay"),
        (
            ("--replay", "odd.json"),
            "not a log that `selfremaster degrade` wrote: degradations.0.pa",
        ),
        (("--replay", "empty"), "a.wav: no log empty/a.json to replay; name the folder that has"),
        (("--replay", "sides.json", "--level", "match"), "a log says what was done to the level"),
        (("--replay", "sides.json", "--seed", "1"), "a log says what was drawn, and nothing is"),
        (("--degradation", "clip", "--level", "loud"), "--level loud: give limit, match, or the p"),
        (("--degradation", "clip", "--level", "3"), "--level 3: give limit, match, or the peak in"),
        (("--degradation", "clip", "--level", "nan"), "--level nan: give limit, match, or the pe"),
        (("--degradation", "clip", "--jobs", "0"), "invalid value for '--jobs': "),
        (("--degradation", "clip", "--kind", "single"), "--kind says who speaks in a --manifest"),
        (("--degradation", "clip", "--manifest", "m.txt"), "m.txt: a manifest is CSV; name it m.c"),
        (("--degradation", "clip", "--manifest", "empty"), "empty: is a folder; name a file, such"),
        (("--degradation", "clip", "--manifest", "there.csv"), "there.csv: exists already; add --"),
        (("--degradation", "clip", "--manifest", "a.wav/m.csv"), "a.wav is a file; name another"),
    ],
)
def test_wrong_use_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_tone(Path("a.wav"))
    log = {"source": "a", "sample_rate": 1, "seed": 0}
    Path("other.json").write_text('{"x": 1}')
    Path("there.csv").write_text("path,split\n")
    Path("empty").mkdir()
    logs = {
        "unknown": ("clp", {"ratio": 1}),
        "range": ("clip", {"ratio": 7}),
        "sides": ("clip", [{"ratio": 0.1}, {"ratio": 0.2}]),
        "odd": ("clip", 7),
    }
    for name, (part, parameters) in logs.items():
        applied = {"degradation": part, "settings": {}, "parameters": parameters}
        Path(f"{name}.json").write_text(json.dumps({**log, "degradations": [applied]}))
    before = left_behind(tmp_path)
    assert error in run("degrade", "a.wav", "--output", "o.wav", *words).error
    assert left_behind(tmp_path) == before


def test_a_log_is_not_overwritten_by_its_own_replay(tmp_path: Path) -> None:
    write_tone(tmp_path / "a.wav")
    out = tmp_path / "out"
    words = ("degrade", tmp_path / "a.wav", "--output", f"{out}/")
    assert run(*words, "--degradation", DRAWN).code == 0
    told = run(*words, "--replay", out / "a.json", "--overwrite")
    assert "a.json: would take the place of" in told.error
    assert run(*words, "--degradation", DRAWN).error.startswith(f"error: {out}/a.wav, {out}/a.json")


def test_a_degradation_that_draws_needs_a_seed() -> None:
    with pytest.raises(ComponentError, match="give a seed"):
        degrading.degrade_files([], [Step("clip", build("degradation", "clip"))], seed=None)
