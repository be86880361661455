"""Several sorts of damage together: one after another, one of them, or by a chance."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from torch import Generator

import selfremaster as sr
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import Degradation
from selfremaster.core.promises import check
from selfremaster.core.promises.inputs import speech_like
from tests.strategies import seeds

RATE_HZ = 22050


def chain(*steps: Any, **settings: Any) -> dict[str, Any]:
    return {"name": "chain", "steps": list(steps), **settings}


def one_of(*choices: Any, **settings: Any) -> dict[str, Any]:
    return {"name": "one-of", "choices": list(choices), **settings}


def sometimes(degradation: Any, chance: float = 0.5) -> dict[str, Any]:
    return {"name": "sometimes", "degradation": degradation, "chance": chance}


BAND: dict[str, Any] = {
    "name": "filter",
    "high_hz": [850, 11025],
    "order": [2, 9],
    "zero_phase": True,
    "kind": ["butterworth", "chebyshev1", "chebyshev2", "bessel", "elliptic"],
}
NOISE: dict[str, Any] = {"name": "noise", "snr_db": [-5, 40], "kind": ["white", "pink"]}
PUBLISHED = one_of(
    "quantize-resample:levels=[64,1024],rate_hz=[8000,11025,12000,16000]",
    chain(
        sometimes("clip:ratio=[0.06,0.9]", 0.25),
        one_of(chain(sometimes(BAND), sometimes(NOISE)), chain(sometimes(NOISE), sometimes(BAND))),
    ),
)


def part(spec: str | dict[str, Any]) -> Degradation:
    made: Degradation = sr.build("degradation", spec)
    return made


def seeded(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


@pytest.mark.parametrize("spec", [PUBLISHED, "chain:peak_db=-3", sometimes(PUBLISHED)], ids=str)
def test_composites_keep_the_promises_of_their_kind(spec: str | dict[str, Any]) -> None:
    check("degradation", part(spec))


@given(seed=seeds())
def test_the_published_augmentation_is_told_whole(seed: int) -> None:
    wave = speech_like(600)
    damaged, drawn = part(PUBLISHED)(wave, seeded(seed), RATE_HZ)
    again = part(PUBLISHED).apply(wave, json.loads(json.dumps(drawn)), RATE_HZ)
    assert torch.equal(again, damaged)


def test_what_is_done_sometimes_is_done_by_its_chance() -> None:
    generator = seeded()
    now_and_then = part(sometimes("clip", 0.25))
    done = [now_and_then.draw(generator, RATE_HZ)["parameters"] is not None for _ in range(2000)]
    assert np.mean(done) == pytest.approx(0.25, abs=0.03)
    for chance in (0, 1):
        always = part(sometimes("clip", chance))
        assert (always.draw(generator, RATE_HZ)["parameters"] is not None) == bool(chance)


@pytest.mark.parametrize(
    ("weights", "shares"), [([0, 0.2, 0.6], [0, 0.25, 0.75]), (None, [1 / 3] * 3)]
)
def test_one_of_several_is_drawn_by_its_weight(
    weights: list[float] | None, shares: list[float]
) -> None:
    generator = seeded()
    weighed = part(one_of("clip", "clip", "clip", weights=weights))
    taken = [weighed.draw(generator, RATE_HZ)["choice"] for _ in range(3000)]
    assert np.bincount(taken, minlength=3) / 3000 == pytest.approx(shares, abs=0.03)


def test_steps_are_taken_in_their_order() -> None:
    wave = speech_like(2000)
    clipped = part("clip:ratio=0.1").apply(wave, {}, RATE_HZ)
    torch.testing.assert_close(
        part(chain("clip:ratio=0.1", "band-limit")).apply(wave, {}, RATE_HZ),
        part("band-limit").apply(clipped, {}, RATE_HZ),
    )


def test_composites_say_of_themselves_what_their_parts_say() -> None:
    for compose in (chain, one_of, lambda *steps: sometimes(chain(*steps))):
        assert part(compose("clip", "clip")).differentiable
        assert not part(compose("clip", "quantize-resample")).differentiable
        assert part(compose("clip", "noise")).adds_sound
        assert not part(compose("clip", "band-limit")).adds_sound


@given(seed=seeds())
def test_all_channels_of_a_recording_go_the_same_way(seed: int) -> None:
    """Only the seeds of noise differ from channel to channel."""

    def without_seeds(drawn: Any) -> Any:
        if isinstance(drawn, dict):
            return {name: without_seeds(own) for name, own in drawn.items() if name != "seed"}
        return [without_seeds(own) for own in drawn] if isinstance(drawn, list) else drawn

    both = part(PUBLISHED).draw_channels(seeded(seed), RATE_HZ, 3)
    assert both[0] == part(PUBLISHED).draw(seeded(seed), RATE_HZ)
    assert without_seeds(both[0]) == without_seeds(both[1]) == without_seeds(both[2])
    assert ('"seed"' in json.dumps(both[0])) == (both[0] != both[1])


@pytest.mark.parametrize(
    "spec", [PUBLISHED, one_of("clip", "band-limit", sometimes("overdrive"))], ids=["deep", "flat"]
)
def test_every_wave_of_a_batch_goes_its_own_way(spec: dict[str, Any]) -> None:
    damage = part(spec)
    waves = torch.cat([speech_like(900, seed=seed) for seed in range(8)])
    drawn = [damage.draw(seeded(seed), RATE_HZ) for seed in range(8)]
    assert len({json.dumps(own) for own in drawn}) > 2
    together = damage.apply(waves, drawn, RATE_HZ)
    for wave, own, found in zip(waves, drawn, together, strict=True):
        alone = damage.apply(wave[None], own, RATE_HZ)[0]
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(
        damage.apply(waves.flip(0), drawn[::-1], RATE_HZ).flip(0), together, rtol=0, atol=1e-5
    )


def test_gradients_reach_each_wave_through_the_way_it_went() -> None:
    wave = speech_like(300).repeat(2, 1).requires_grad_()
    damage = part(sometimes("clip:ratio=0.5"))
    damage.apply(wave, [{"parameters": None}, {"parameters": {}}], RATE_HZ).sum().backward()
    assert wave.grad is not None
    assert wave.grad[0].eq(1).all()
    assert not wave.grad[1].eq(1).all()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (one_of("clip", weights=[1, 1]), "2 weights for 1 choices"),
        (one_of("clip", weights=[0]), "weights of 0 choose nothing"),
        (one_of("clip", weights=[-1]), "greater than or equal to 0"),
        (one_of(), "choices"),
        (chain(), "steps"),
        (chain("clip:ratio=3"), "ratio=3"),
        (sometimes("clip", 1.5), "chance=1.5: .*less than or equal to 1"),
        (sometimes("clp"), "did you mean 'clip'"),
    ],
    ids=str,
)
def test_bad_settings_are_named(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        part(spec)


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("chain", {"step": []}, "no setting 'step'; known: steps"),
        ("chain", {"steps": [{}]}, "for each of the 2 steps"),
        ("chain", {"steps": [{}, 3]}, "for each of the 2 steps"),
        ("one-of", {}, "which one is taken is to be drawn"),
        ("one-of", {"choice": 2}, "choice=2; give a number from 0 to 1"),
        ("one-of", {"choice": True}, "choice=True; give a number from 0 to 1"),
        ("one-of", {"choice": 0, "parameters": 3}, "parameters=3; give a mapping"),
        ("sometimes", {}, "whether it is done is to be drawn"),
        ("sometimes", {"parameters": 3}, "parameters=3; give a mapping, or null"),
        ("sometimes", {"chance": 1}, "no setting 'chance'; known: parameters"),
    ],
)
def test_bad_parameters_are_named(name: str, parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        part(name).apply(torch.ones(1, 10), parameters, RATE_HZ)
