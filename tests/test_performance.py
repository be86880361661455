"""The performance suite: its references do the same work, and its tables hold what they say."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import selfremaster as sr
from selfremaster.benchmarks.performance import (
    __main__ as suite,
)
from selfremaster.benchmarks.performance import (
    archives,
    comparing,
    features,
    losses,
    references,
    restoring,
    rounding,
    runtimes,
    sizes,
    starting,
    training,
    vocoders,
)
from selfremaster.benchmarks.performance.comparing import Comparison, Options
from selfremaster.core import audio
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.registry.assembling import assemble, resolve
from tests import tiny

QUICK = suite.QUICK
TINY = "hifigan:preset=v3,initial_channels=8"


def test_the_reference_features_are_the_same() -> None:
    wave = speech_like(8000)
    expected = sr.build("features", "mel")(wave)
    assert torch.allclose(references.log_mel(wave), expected, atol=1e-4)


@pytest.mark.parametrize("spec", losses.REFERENCES)
def test_the_reference_losses_are_the_same(spec: str) -> None:
    estimate, target = noise(2, 8000, seed=1), noise(2, 8000, seed=2)
    ours, reference = sr.build("loss", spec), losses.REFERENCES[spec]()
    assert float(reference(estimate, target)) == pytest.approx(
        float(ours(estimate, target)), rel=1e-4
    )


def test_plain_convolutions_sound_the_same() -> None:
    mel = sr.build("features", "mel")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        vocoder = sr.build("vocoder", tiny.VOCODER, features=mel)
    speech = mel(speech_like(4000))
    expected = vocoder(speech)
    assert references.with_plain_convolutions(vocoder) > 5
    assert torch.allclose(vocoder(speech), expected, atol=1e-5)


def test_the_reference_restores_the_same() -> None:
    experiment = resolve(tiny.experiment(Path("nowhere")))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = assemble(experiment).eval().requires_grad_(False)
    wave = speech_like(20000)
    expected = model.restore_segment(wave)
    references.with_plain_convolutions(model)
    assert torch.allclose(references.restore(model, wave), expected, atol=1e-5)


def test_batch_normalisation_by_itself_sounds_the_same() -> None:
    given = {**sizes.PUBLISHED["paper, MelSpec"], "vocoder": tiny.VOCODER}
    given["analyzer"] = {**tiny.ANALYZER, "norm": "batch"}  # type: ignore[assignment]  # a part
    wave = speech_like(9000)
    ours, reference = sizes.drawn(given), sizes.drawn(given, folded=False)
    references.with_plain_convolutions(reference)
    assert references.with_plain_norms(reference) > 10
    with torch.no_grad():
        found = references.restore(reference, wave)
    torch.testing.assert_close(found, ours.restore_segment(wave), atol=1e-5, rtol=1e-4)


def test_sizes_stand_beside_the_published_path(monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"features": "mel", "analyzer": tiny.ANALYZER, "vocoder": tiny.VOCODER}
    monkeypatch.setattr(sizes, "PUBLISHED", {"paper": {**small, "channel": tiny.CHANNEL}})
    monkeypatch.setattr(sizes, "SMALL", {"small": small})
    monkeypatch.setattr(sizes, "builtin_bundles", dict)
    monkeypatch.setattr(
        "selfremaster.core.precisions.choose_precision", lambda device: "bf16-mixed"
    )
    monkeypatch.setattr("selfremaster.benchmarks.timing.WARM_UPS", 0)
    found = sizes.paces_of("paper", True, QUICK)
    assert [(one.model, one.precision) for one in found] == [
        (name, precision) for name in ("paper", "small") for precision in ("fp32", "bf16")
    ]
    assert len({one.published for one in found}) == 1
    assert min(one.ours for one in found) > 0


def test_rounding_is_told_of_what_speaks() -> None:
    (path,) = rounding.files_of(QUICK.speech)
    wave, rate = rounding.damaged(path)
    model = sr.load("default")
    found = rounding._compared(model, wave[:, :rate], rate, None)
    assert -90 < found.wave_db < -30
    assert 0 < found.mel_db < 0.2
    assert found.quality is None


def test_modules_are_timed_as_they_are_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package)
    monkeypatch.setattr(runtimes, "MODULES", {"tiny": ("synthesis", {"vocoder": tiny.VOCODER})})
    monkeypatch.setattr("selfremaster.benchmarks.timing.WARM_UPS", 0)
    found = runtimes.speed_of("tiny", QUICK)
    assert min(found[1:]) > 0


def test_the_command_is_measured_on_files(tmp_path: Path) -> None:
    source = archives.write_speech(tmp_path / "a.wav", 4.5)
    assert audio.inspect(source).seconds == pytest.approx(4.5)
    wide = audio.inspect(archives.write_speech(tmp_path / "c.wav", 9.25, 48000, 2))
    assert (wide.seconds, wide.sample_rate, wide.channels) == (9.25, 48000, 2)
    model = archives.write_small(tmp_path / "small.safetensors")
    taken = archives.restored(source, tmp_path / "b.wav", "--model", str(model))
    assert audio.inspect(tmp_path / "b.wav").seconds == pytest.approx(4.5)
    assert taken.seconds > 0
    if taken.peak_bytes is not None:
        assert taken.peak_bytes > 100 * 2**20
    with pytest.raises(SelfRemasterError, match="failed: error: "):
        archives.restored(tmp_path / "none.wav", tmp_path / "c.wav")


def test_a_family_is_a_process_and_what_it_began() -> None:
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as begun:
        found = archives.family(begun.pid)
        while Path("/proc/self/task").is_dir() and len(found) < 2 and begun.poll() is None:
            found = archives.family(begun.pid)
        begun.communicate(b"\n")
    assert found[0] == begun.pid


def test_a_step_learns_the_same_in_both_ways() -> None:
    experiment = resolve(tiny.experiment(Path("nowhere")))
    given = training.OBJECTIVES["ssl-dual"]
    weights = []
    for published in (False, True):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = assemble(experiment)
        objective = sr.build("objective", given)
        if published:
            model, objective = training.published(model), training.published_objective(given)
        before = [parameter.clone() for parameter in model.analyzer.parameters()]  # type: ignore[union-attr]  # it has one
        training.step_of(model, objective, bfloat16=False)()
        after = [*model.analyzer.parameters()]  # type: ignore[union-attr]  # it has one
        assert any(not torch.equal(*pair) for pair in zip(before, after, strict=True))
        weights.append(torch.cat([one.detach().flatten() for one in after]))
    # Adam makes a whole step of any gradient, so that few that are nearly none may go either way
    assert (weights[0] - weights[1]).abs().mean() < 2e-5


def test_both_ways_are_timed_in_turns() -> None:
    done: list[str] = []
    ours, reference = (lambda: done.append("ours")), (lambda: done.append("reference"))
    both, alone = comparing.in_turns(
        [Comparison("a", ours, reference), Comparison("b", ours)], QUICK
    )
    assert done[:4] == ["ours", "reference"] * 2
    assert both.reference is not None
    assert alone.reference is None


def test_speed_is_measured_for_every_vocoder_and_preset() -> None:
    specs = vocoders.vocoder_specs()
    assert {spec.partition(":")[0] for spec in specs} == {
        info.name for info in sr.list_components("vocoder")
    }
    assert "hifigan:preset=v2" in specs
    assert vocoders.own_features("world") == "source-filter"
    assert vocoders.own_features("hifigan:preset=v3") == "mel"


def test_vocoders_are_measured_or_left_out_in_words() -> None:
    options = Options(0 * (1.0,), 0.1, 1, 0.0, vocoders=(TINY, "input-phase", "hifigann"))
    (small, by_phase), (left_out,) = vocoders.speeds_of(options)
    assert small.plain_speaking is not None
    assert small.learning is not None
    assert by_phase.plain_speaking is by_phase.learning is None
    assert "did you mean 'hifigan'" in left_out


def test_slow_features_are_timed_made_and_read(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pysptk")
    monkeypatch.setattr(features, "EXTRACTORS", ("dio",))
    monkeypatch.setattr(features, "COPIES", 1)
    monkeypatch.setattr("selfremaster.benchmarks.timing.WARM_UPS", 0)
    found = features.source_filter_times(QUICK)
    names = ["source-filter, dio, first epoch", "source-filter, dio, later epochs"]
    assert [one.work for one in found] == names
    assert all(one.ours > 0 and one.reference for one in found)
    assert found[0].reference == found[1].reference


def test_lengths_that_do_not_fit_are_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def measured(work: object, way: str, length: float) -> restoring.Taken:
        tried.append((way, length))
        return restoring.Taken(length / 10, round(length * 2**20 * (1 if way == "ours" else 9)))

    monkeypatch.setattr(restoring, "apart_and_frugal", measured)
    monkeypatch.setattr(restoring, "free_bytes", lambda: 100 * 2**20)
    table = restoring.measure(Options(lengths=(1, 10))).table
    assert tried == [("ours", 1), ("reference", 1), ("ours", 10)]
    assert table.splitlines()[-1] == "| 10 s | 0.1000 | 10 | - | - | - |"


def test_restoring_is_measured_in_both_ways() -> None:
    assert restoring.restorer_of("ours")(0.3).shape == restoring.restorer_of("published")(0.3).shape


def test_commands_are_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "EAGER", "pass")
    monkeypatch.setattr(starting, "COMMANDS", {"version": ("-m", "selfremaster", "--version")})
    monkeypatch.setattr("selfremaster.benchmarks.timing.WARM_UPS", 0)
    (one,) = starting.times(QUICK)
    assert one.work == "version"
    assert one.reference is not None
    assert 0 < one.reference
    assert 0 < one.ours


def test_the_report_has_a_table_and_its_command(tmp_path: Path) -> None:
    words = ["--output", str(tmp_path / "p.md"), "--quick", "--only", "losses"]
    assert suite.main(words) == 0
    text = (tmp_path / "p.md").read_text(encoding="utf-8")
    assert text.startswith("# Performance\n")
    assert "| mel-l1 | " in text
    assert text.count("\n## ") == 1
    assert "python -m selfremaster.benchmarks.performance --output " in text


def test_a_place_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = comparing.Section("Losses", "about", "| a |")
    monkeypatch.setitem(suite.SECTIONS, "losses", lambda options: made)  # type: ignore[arg-type]  # a dict
    (tmp_path / "file").write_text("")
    words = ["--output", str(tmp_path / "file" / "p.md"), "--only", "losses"]
    assert suite.main(words) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")
