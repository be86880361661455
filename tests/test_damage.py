"""What all degradations share: chance of any device, and levels beyond all sense."""

import json
from typing import Any

import pytest
import torch
from torch import Generator

import selfremaster as sr
from selfremaster.core import damage
from selfremaster.core.damage import draw_chance
from selfremaster.core.errors import ComponentError
from selfremaster.core.promises.inputs import speech_like


def test_chance_is_even_with_and_without_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some devices have no float64, of which an even number from 0 to 1 is otherwise made."""
    for doubles in (("cpu",), ()):
        monkeypatch.setattr(damage, "WITH_DOUBLES", doubles)
        generator = Generator().manual_seed(1)
        drawn = torch.tensor([draw_chance(generator) for _ in range(4000)], dtype=torch.float64)
        assert ((drawn >= 0) & (drawn < 1)).all()
        assert len(drawn.unique()) == 4000
        assert (drawn * 2**24 != (drawn * 2**24).round()).any()  # finer than float32
        tenths = torch.histc(drawn, 10, 0, 1)
        assert tenths.tolist() == pytest.approx([400] * 10, abs=80)
        assert draw_chance(Generator().manual_seed(1)) == float(drawn[0])


def test_chance_of_the_processor_is_what_it_always_was() -> None:
    assert draw_chance(Generator().manual_seed(1)) == pytest.approx(0.06105327471962363, abs=1e-12)


@pytest.mark.parametrize(
    "spec", ["filter", "eq", "wow-flutter", "hum", "hiss", "crackle", "print-through", "horn"]
)
@pytest.mark.parametrize("level", [2.0**39, 2.0**41, 2.0**60, 2.0**100])
def test_twice_as_loud_in_is_twice_as_loud_out_however_loud(spec: str, level: float) -> None:
    part = sr.build("degradation", spec)
    wave = torch.cat([speech_like(3000), 0.01 * speech_like(3000)])
    drawn = part.draw(Generator().manual_seed(1), 22050)
    wanted = part.apply(wave, drawn, 22050)
    found = part.apply(level * wave, drawn, 22050)
    torch.testing.assert_close(found / level, wanted, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("spec", "parameters"),
    [
        ("gain", {"gain_db": -6.0, "peak_db": None, "seed": 3}),
        ("polarity", {"seed": 3}),
        ("bit-depth", {"seed": -1}),
        ("bit-depth", {"seed": 2**31}),
        ("bit-depth", {"seed": None}),
        ("bit-depth:seed=1", {"bits": 1}),
    ],
)
def test_parameters_near_to_settings_that_are_known_are_looked_at(
    spec: str, parameters: dict[str, Any]
) -> None:
    part = sr.build("degradation", spec)
    wave = speech_like(100)
    part(wave, Generator().manual_seed(1))
    with pytest.raises(ComponentError, match=next(reversed(parameters))):
        part.apply(wave, {**part.draw(Generator().manual_seed(1), 22050), **parameters})


def test_what_is_done_to_drawn_parameters_does_not_reach_the_part() -> None:
    part = sr.build("degradation", "reverb:kind=room,size_m=[4,3,2]")
    drawn = part.draw(Generator().manual_seed(1), 22050)
    wanted = json.dumps(drawn)
    drawn["size_m"].append(1.0)
    drawn["kind"] = "decay"
    assert json.dumps(part.draw(Generator().manual_seed(1), 22050)) == wanted
