"""Damage of files: channels, levels, several processes, and pairs to learn from."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Generator, Tensor

from selfremaster.core import audio, jobs, manifests
from selfremaster.core.degrading import (
    Applied,
    DamageLog,
    Degraded,
    Step,
    degrade,
    degrade_files,
    read_log,
)
from selfremaster.core.errors import ComponentError, ExperimentError, SelfRemasterError
from selfremaster.core.experiments import Experiment
from selfremaster.core.interfaces import ComponentConfig, Degradation, Parameters
from selfremaster.core.pairs import in_short, plan_pairs, write_pairs
from selfremaster.core.parallel import one_thread, spread
from selfremaster.registry.building import build
from selfremaster.registry.runs import train
from tests import tiny
from tests.cli import left_behind, tone, write_tone
from tests.ending import ending, write_files
from tests.strategies import seeds, waves

ROOT = Path(__file__).parents[1]
RATE_HZ = 22050
LEVELS = ("limit", "match", -3.0, 0.0)


class Sides(Degradation):
    """Each channel gets a gain of its own."""

    def draw(self, generator: Generator, sample_rate: int) -> dict[str, Any]:
        """A gain."""
        return {"gain": torch.rand(1, generator=generator).item()}

    def draw_channels(
        self, generator: Generator, sample_rate: int, channels: int
    ) -> list[dict[str, Any]]:
        """A gain each."""
        return [self.draw(generator, sample_rate) for _ in range(channels)]

    def apply_one(self, wave: Tensor, parameters: Parameters, sample_rate: int) -> Tensor:
        """Louder or softer."""
        return wave * parameters["gain"]


def sides() -> Step:
    return Step("sides", Sides(ComponentConfig()))


# channels


def test_each_channel_has_its_own_parameters_and_replays_them() -> None:
    wave = tone(500, channels=3)
    damaged, (applied,), _ = degrade(wave, RATE_HZ, [sides()], Generator().manual_seed(1))
    assert isinstance(applied.parameters, list)
    gains = [own["gain"] for own in applied.parameters]
    assert len(set(gains)) == 3
    assert torch.equal(damaged, wave * torch.tensor(gains)[:, None])
    told = json.loads(json.dumps(applied.parameters))
    again, (replayed,), _ = degrade(
        wave, RATE_HZ, [sides()._replace(parameters=told)], Generator().manual_seed(2)
    )
    assert torch.equal(again, damaged)
    assert replayed.parameters == applied.parameters


def test_one_channel_gets_what_the_first_of_several_gets_and_one_mapping_fits_all() -> None:
    mono, (alone,), _ = degrade(tone(500), RATE_HZ, [sides()], Generator().manual_seed(1))
    _, (both,), _ = degrade(tone(500, 2), RATE_HZ, [sides()], Generator().manual_seed(1))
    assert isinstance(alone.parameters, dict)
    assert isinstance(both.parameters, list)
    assert alone.parameters == both.parameters[0]
    step = sides()._replace(parameters=alone.parameters)
    three, (same,), _ = degrade(mono.expand(3, -1), RATE_HZ, [step], Generator())
    assert torch.equal(three, mono.expand(3, -1) * alone.parameters["gain"])
    assert same.parameters == alone.parameters


def test_parameters_of_other_channels_are_refused() -> None:
    step = sides()._replace(parameters=[{"gain": 1.0}, {"gain": 0.5}])
    with pytest.raises(ComponentError, match=r"sides: parameters of 2 channels for a .* of 1; "):
        degrade(tone(500), RATE_HZ, [step], Generator())


def test_a_log_from_before_channels_and_levels_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    applied = {"degradation": "clip", "settings": {"ratio": 0.5}, "parameters": {"ratio": 0.5}}
    log = {"source": "a.wav", "sample_rate": 8000, "seed": 0, "gain": 0.5}
    path.write_text(json.dumps({**log, "degradations": [applied]}))
    read = read_log(path)
    assert read.level == "limit"
    assert read.degradations[0].parameters == {"ratio": 0.5}


# level


@given(
    wave=waves(max_samples=3000),
    gain=st.sampled_from([0.01, 0.5, 1.0, 30.0]),
    level=st.sampled_from(LEVELS),
)
def test_a_result_has_the_level_that_was_asked_for(wave: Tensor, gain: float, level: Any) -> None:
    given_parameters = Step("sides", Sides(ComponentConfig()), {"gain": gain})
    damaged, _, applied = degrade(wave, RATE_HZ, [given_parameters], Generator(), level)
    before, peak = wave * gain, float(damaged.abs().max())
    torch.testing.assert_close(damaged, before * applied, rtol=1e-5, atol=0)
    loud = float(before.abs().max())
    if isinstance(level, float):
        wanted = 10 ** (level / 20)
        assert peak == pytest.approx(wanted if loud > 1e-4 else wanted * loud / 1e-4, rel=1e-4)
    else:
        assert peak <= 1.0001
    if level == "limit":
        assert applied == pytest.approx(1 if loud <= 1 else 1 / loud)
    if level == "match" and 1e-20 < loud and peak < 0.999:
        assert damaged.norm() == pytest.approx(float(wave.norm()), rel=1e-3)


def test_matching_leaves_silence_alone() -> None:
    for wave, gain in ((torch.zeros(1, 100), 1.0), (tone(100), 0.0)):
        step = Step("sides", Sides(ComponentConfig()), {"gain": gain})
        damaged, _, applied = degrade(wave, RATE_HZ, [step], Generator(), "match")
        assert applied == 1
        assert not damaged.any()


# several processes


def test_every_result_is_told_in_order_and_a_failure_stops_nobody(tmp_path: Path) -> None:
    planned = write_files(tmp_path)
    results = list(degrade_files(planned, [ending("raise")], processes=2))
    assert [result.source.stem for result in results] == ["0", "1", "2", "3", "4", "5"]
    (failure,) = (result for result in results if isinstance(result, jobs.Failure))
    told = "degradation Ending of tests.ending raises TwoWordsError: out of order; "
    assert failure.reason.startswith(told)
    assert str(failure.error) == failure.reason
    assert left_behind(tmp_path / "out") == [
        f"{number}{suffix}" for number in (0, 1, 2, 4, 5) for suffix in (".json", ".wav")
    ]


def test_whoever_wants_no_further_results_waits_for_no_more(tmp_path: Path) -> None:
    results = spread(abs, [-1, -2, -3, -4], 2)
    assert next(results) == 1
    results.close()  # type: ignore[attr-defined]  # a generator
    assert next(results, None) is None


def test_a_part_that_cannot_go_to_another_process_is_one_line(tmp_path: Path) -> None:
    step = ending("")
    step.part.lock = threading.Lock()  # type: ignore[attr-defined]  # as a stranger's part may have
    with pytest.raises(SelfRemasterError, match=r"other processes \(.*lock.*\); take one process"):
        list(degrade_files(write_files(tmp_path), [step], processes=2))


def test_a_process_that_ends_costs_its_file_alone(tmp_path: Path) -> None:
    results = list(degrade_files(write_files(tmp_path), [ending("end")], processes=2))
    (failure,) = (result for result in results if isinstance(result, jobs.Failure))
    assert failure.reason == (
        f"{tmp_path}/in/3.wav: degradation Ending of tests.ending ended the process (EXIT(3)); "
        "try `selfremaster check`, or leave the plugin out"
    )
    assert left_behind(tmp_path / "out") == [
        f"{number}{suffix}" for number in (0, 1, 2, 4, 5) for suffix in (".json", ".wav")
    ]


INTERRUPTED = """
import signal
import sys
from pathlib import Path
from tests.ending import ending, write_files
from selfremaster.core.degrading import degrade_files

signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background would ignore it
count = 0
planned = write_files(Path(sys.argv[1]), 9)
try:
    for result in degrade_files(planned, [ending("interrupt")], processes=2):
        count += 1
except KeyboardInterrupt:
    print(count)
"""


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are those of Unix")
def test_ctrl_c_leaves_nothing_half_written(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, tmp_path],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        start_new_session=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    written = left_behind(tmp_path / "out")
    sounds = [name for name in written if name.endswith(".wav")]
    assert written == sorted([*sounds, *(name.replace(".wav", ".json") for name in sounds)])
    assert int(done.stdout) <= len(sounds)  # another process may have ended one meanwhile
    assert "3.wav" not in sounds


def test_one_thread_is_given_back() -> None:
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


# pairs


def corpus(folder: Path, names: tuple[str, ...]) -> list[jobs.Job]:
    for name in names:
        write_tone(folder / "clean" / f"{name}.wav", 3000)
    return jobs.plan([folder / "clean"], folder / "made" / "tapes", beside=(".json",))


def done(planned: list[jobs.Job], seed: int = 0) -> list[Degraded]:
    step = Step("clip", build("degradation", "clip"))
    return [
        result for result in degrade_files(planned, [step], seed) if isinstance(result, Degraded)
    ]


@pytest.mark.parametrize("kind", ["single", "multi-unseen"])
def test_pairs_have_the_splits_and_speakers_of_the_clean_corpus(tmp_path: Path, kind: Any) -> None:
    names = tuple(f"{speaker}/{number}" for speaker in ("ann", "bert", "cy") for number in range(4))
    planned = corpus(tmp_path, names)
    path = tmp_path / "made" / "pairs.csv"
    made = write_pairs(done(planned, seed=5), plan_pairs(planned, path, kind), path)
    clean = manifests.build(tmp_path / "clean", kind)
    read = manifests.read(path)
    assert manifests.content_hash(read) == manifests.content_hash(made)
    assert [(item.split, item.speaker) for item in made.items] == [
        (item.split, item.speaker) for item in clean.items
    ]
    for item, original in zip(made.items, clean.items, strict=True):
        assert item.path == f"tapes/{original.path}"
        assert item.others == {
            "clean": f"../clean/{original.path}",
            "clean_sha256": original.sha256,
            "degradation": "clip",
        }
        assert (item.seconds, item.channels) == (original.seconds, original.channels)
    assert set(clean.splits()) == {"train", "val", "test"}


def test_what_was_done_in_short_names_the_era() -> None:
    applied = [
        Applied(degradation="random-recording", settings={}, parameters=[{"era": "telephone"}] * 2),
        Applied(degradation="one-of", settings={}, parameters={"choice": 1}),
    ]
    assert in_short(applied) == "random-recording (telephone) + one-of"


def test_pairs_need_speakers_a_file_of_their_own_and_something_done(tmp_path: Path) -> None:
    planned = corpus(tmp_path, ("ann/1", "ann/2"))
    with pytest.raises(ExperimentError, match=r"needs two speakers or more, .* \(ann\)"):
        plan_pairs(planned, tmp_path / "pairs.csv", "multi-unseen")
    with pytest.raises(ExperimentError, match=r"no kind of corpus 'solo'"):
        plan_pairs(planned, tmp_path / "pairs.csv", "solo")
    with pytest.raises(SelfRemasterError, match=r"is CSV; name it .*pairs\.csv"):
        plan_pairs(planned, tmp_path / "pairs.txt")
    with pytest.raises(ExperimentError, match="nothing was damaged"):
        write_pairs([], {}, tmp_path / "pairs.csv")
    assert left_behind(tmp_path) == ["clean/ann/1.wav", "clean/ann/2.wav"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A manifest of clipped speech, and what a tiny model needs beside it."""
    folder = tmp_path_factory.mktemp("pairs")
    tiny.write_speech(folder / "clean", files=3, seconds=0.5)
    planned = jobs.plan([folder / "clean"], folder / "clipped", beside=(".json",))
    write_pairs(done(planned), plan_pairs(planned, folder / "pairs.csv"), folder / "pairs.csv")
    return folder / "pairs.csv"


def supervised(manifest: Path, **data: Any) -> Experiment:
    objective = {"name": "supervised", "degradation": None}
    streams = {"paired_degraded": None, "paired_clean": None, "pairs": {"manifest": str(manifest)}}
    given_data = {**streams, "segment_seconds": 0.1, **data}
    return tiny.experiment(
        manifest.parent / "clean", objective=objective, data=given_data, train={"steps": 1}
    )


def test_a_model_learns_from_a_manifest_of_pairs(pairs: Path, tmp_path: Path) -> None:
    held_out = {"held_out_pairs": {"manifest": str(pairs), "split": "val"}}
    experiment = supervised(pairs, pairs={"manifest": str(pairs), "split": "train"}, **held_out)
    streams = experiment.data.streams()
    assert streams["paired_clean"].column == "clean"
    assert streams["paired_degraded"].split == streams["paired_clean"].split == "train"
    assert Experiment.from_mapping(experiment.model_dump(mode="json")) == experiment
    result = train(experiment, tmp_path / "run")
    assert result.steps == 1


def rewritten(pairs: Path, change: Mapping[str, str], target: Path) -> Path:
    """The manifest with some text replaced, its files where they were."""
    text = pairs.read_text(encoding="utf-8")
    for old, new in change.items():
        text = text.replace(old, new)
    path = pairs.with_name(target.name)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {",clean,": ",original,"},
            "no column 'clean' that names files; known: clean_sha256, degradation, ori",
        ),
        ({",clean/1.wav,": ",,"}, "clipped/1.wav has nothing in the column 'clean'; fill it in"),
        ({",clean/1.wav,": ",clean/9.wav,"}, "1 of 3 files are not in .*: clean/9.wav; put them"),
        ({",clean/1.wav,": ",clean/long.wav,"}, r"1.wav lasts 0.50 s and .*long.wav 1.00 s; pairs"),
    ],
)
def test_pairs_that_are_none_are_one_line(
    pairs: Path, tmp_path: Path, change: dict[str, str], words: str
) -> None:
    audio.write(pairs.parent / "clean" / "long.wav", tiny.speech_like(1.0, 9), tiny.RATE)
    broken = rewritten(pairs, change, Path("broken.csv"))
    with pytest.raises(ExperimentError, match=words) as raised:
        train(supervised(broken), tmp_path / "run")
    assert str(raised.value).startswith("data.paired_clean: " if "lasts" not in words else "data.")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (
            {"pairs": {"manifest": "p.csv"}},
            "pairs stands for .*; leave out paired_degraded and pai",
        ),
        ({"held_out_pairs": {"split": "val"}}, "data.held_out_pairs.manifest is missing"),
        ({"clean": {"folder": "a", "column": "clean"}}, "column go with a manifest"),
    ],
)
def test_settings_of_pairs_that_do_not_fit_are_one_line(data: Any, words: str) -> None:
    folders = {"paired_degraded": {"folder": "a"}, "paired_clean": {"folder": "b"}}
    with pytest.raises(ExperimentError, match=words):
        Experiment.from_mapping({"data": {**folders, **data}})


@given(seed=seeds())
def test_a_log_of_lists_is_read_back(seed: int) -> None:
    _, applied, gain = degrade(tone(50, 2), RATE_HZ, [sides()], Generator().manual_seed(seed))
    log = DamageLog(
        source="a", sample_rate=1, seed=seed, degradations=applied, level=-3.0, gain=gain
    )
    assert DamageLog.model_validate_json(log.model_dump_json()) == log


def test_processes_work_where_the_caller_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert list(spread(os.path.abspath, ["a", "b"], 2)) == [f"{tmp_path}/a", f"{tmp_path}/b"]
