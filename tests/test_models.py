"""What `restore` takes from Python: any floating-point wave, and one line for everything else."""

from typing import Any

import numpy as np
import pytest
import torch

from selfremaster.core.errors import AudioError
from selfremaster.core.experiments import Experiment
from selfremaster.core.models import Model, check_wave
from selfremaster.registry.assembling import assemble
from tests import tiny

RATE = 22050


@pytest.fixture(scope="module")
def model() -> Model:
    vocoder = "griffin-lim:iterations=1,mel_iterations=1"
    parts = {"analyzer": tiny.ANALYZER, "vocoder": vocoder, "channel": None}
    return assemble(Experiment.from_mapping({"model": parts}))


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f2", ">f4", ">f8"])
def test_numpy_comes_back_in_its_own_type_whatever_the_order_of_its_bytes(
    model: Model, dtype: str
) -> None:
    wave = tiny.speech_like(0.1, 3)[0].numpy().astype(dtype)
    restored = model.restore(wave, RATE)
    assert (restored.dtype, restored.shape) == (np.dtype(dtype), wave.shape)
    native = model.restore(wave.astype(wave.dtype.newbyteorder("=")), RATE)
    assert np.array_equal(restored, native)
    assert float(np.abs(restored.astype(np.float32)).max()) > 0.01


def test_views_and_arrays_that_cannot_be_written_are_taken_as_they_are() -> None:
    wave = np.linspace(-0.5, 0.5, 24, dtype=np.float32).reshape(12, 2)
    assert torch.equal(check_wave(wave.T), torch.tensor(wave.T.copy()))
    assert torch.equal(check_wave(wave[::-1, 0]), torch.tensor(wave[::-1, 0].copy()))
    fixed = wave.copy()
    fixed.setflags(write=False)
    check_wave(fixed).zero_()
    assert np.array_equal(fixed, wave)


@pytest.mark.parametrize(
    ("wave", "message"),
    [
        ([0.1, 0.2], "a wave in a list; give a numpy array or a torch tensor"),
        (None, "a wave in a NoneType; give"),
        ("old.wav", "a wave in a str; give"),
        (np.array([0.1, None], dtype=object), "a wave of object; give float32 or float64"),
        (np.array([1, 2], dtype=np.int16), "a wave of int16; give float32 or float64"),
        (np.array([1, 2], dtype=np.uint16), "a wave of uint16; give float32 or float64"),
        (np.array([0.5j]), "a wave of complex128; give float32 or float64"),
        (np.array(["a"]), "a wave of <U1; give float32 or float64"),
        (np.zeros(3, dtype=np.longdouble), "; give float32 or float64 with full scale 1"),
        (np.float32(0.5), "a wave in a float32; give a numpy array"),
        (np.array(0.5), r"a wave of shape \(\); give \(samples,\)"),
        (np.zeros((2, 2, 2)), r"a wave of shape \(2, 2, 2\); give \(samples,\)"),
        (np.zeros((2, 0)), "0 samples of audio; nothing to restore"),
        (np.array([0, np.inf], dtype=">f4"), "sample 1 is not a finite number"),
        (torch.zeros(4, dtype=torch.int16), r"a wave of torch.int16; give floating point"),
    ],
)
def test_what_is_no_wave_is_one_line(model: Model, wave: Any, message: str) -> None:
    if getattr(wave, "dtype", None) == np.longdouble and wave.dtype.itemsize == 8:
        pytest.skip("on this system a long double is a double")
    with pytest.raises(AudioError, match=message) as raised:
        model.restore(wave, RATE)
    assert "\n" not in str(raised.value)
