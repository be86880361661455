"""The speed table: every vocoder, and the same sound by another way."""

import pytest
import torch

import selfremaster as sr
from selfremaster.benchmarks import speed
from selfremaster.core.promises.inputs import speech_like
from tests import tiny


def test_plain_convolutions_sound_the_same() -> None:
    features = sr.build("features", "mel")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vocoder = sr.build("vocoder", tiny.VOCODER, features=features)
    speech = features(speech_like(4000))
    expected = vocoder(speech)
    assert speed.with_plain_convolutions(vocoder) > 5
    assert torch.allclose(vocoder(speech), expected, atol=1e-5)


def test_speed_is_a_table_of_vocoders(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["hifigan:preset=v3,initial_channels=8", "input-phase", "--seconds", "0.1"]
    assert speed.main([*words, "--repeats", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[4:]] == [
        "| hifigan:preset=v3,initial_channels=8",
        "| hifigan:preset=v3,initial_channels=8, plain conv1d",
        "| input-phase",
    ]
    assert lines[-1].endswith("| - |")
    assert speed.main(["hifigan", "--features", "mle"]) == 2
    assert "did you mean 'mel'" in capsys.readouterr().err


def test_speed_is_measured_for_every_vocoder_and_preset() -> None:
    specs = speed.vocoder_specs()
    assert {spec.partition(":")[0] for spec in specs} == {
        info.name for info in sr.list_components("vocoder")
    }
    assert "hifigan:preset=v2" in specs
