"""Statistics of two domains: none is used unheard, and a run may split those of another."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from selfremaster.core.bundles import load_weights, read_bundle
from selfremaster.core.components import ComponentConfig
from selfremaster.core.domains import Domain, in_domain
from selfremaster.core.errors import BundleError
from selfremaster.core.experiments import Experiment
from selfremaster.plugins.analyzers.norms import BatchNormByDomain, make_norm
from selfremaster.registry.assembling import load
from selfremaster.registry.building import configure
from selfremaster.registry.runs import train
from tests import tiny

DOMAINS: tuple[Domain, ...] = ("recordings", "simulated")
PARTS = [("analyzer", "unet2d"), ("analyzer", "unet2d-gst"), ("channel", "unet1d")]
BY_DOMAIN, BATCH = {"norm": "batch-by-domain"}, {"norm": "batch"}


def some_map(seed: int) -> Tensor:
    """A map whose level and spread its seed tells, (3, 2, 5)."""
    chance = torch.Generator().manual_seed(seed)
    return seed + (1 + seed) * torch.randn(3, 2, 5, generator=chance)


def statistics(norm: BatchNormByDomain, domain: Domain) -> tuple[Tensor, Tensor]:
    heard = norm.simulated if domain == "simulated" else norm
    return heard.running_mean, heard.running_var


# the layer


@given(order=st.lists(st.sampled_from(DOMAINS), max_size=8))
def test_a_domain_goes_on_from_the_other_and_then_alone(order: list[Domain]) -> None:
    norm = BatchNormByDomain(2, momentum=0.2)
    wanted = {domain: torch.nn.BatchNorm1d(2, momentum=0.2) for domain in DOMAINS}
    heard = set[Domain]()
    for seed, domain in enumerate(order):
        with in_domain(domain):
            found = norm(some_map(seed))
        torch.testing.assert_close(found, wanted[domain](some_map(seed)))
        heard.add(domain)
        for other in set(DOMAINS) - heard:
            wanted[other] = copy.deepcopy(wanted[domain])
    norm.eval()
    for domain, plain in wanted.items():
        mean, variance = statistics(norm, domain)
        torch.testing.assert_close(mean, plain.running_mean)
        torch.testing.assert_close(variance, plain.running_var)
        with in_domain(domain):
            torch.testing.assert_close(norm(some_map(9)), plain.eval()(some_map(9)))


def test_the_statistics_stand_still_in_evaluation() -> None:
    norm = BatchNormByDomain(2).eval()
    before = copy.deepcopy(norm.state_dict())
    for domain in DOMAINS:
        with in_domain(domain):
            norm(some_map(3))
    assert all(torch.equal(before[name], value) for name, value in norm.state_dict().items())


def test_several_passes_of_both_domains_have_one_way_back() -> None:
    norm = BatchNormByDomain(2)
    total = torch.zeros(())
    for seed, domain in enumerate((*DOMAINS, *reversed(DOMAINS))):
        with in_domain(domain):
            total = total + norm(some_map(seed)).pow(3).mean()
    total.backward()
    assert norm.weight.grad is not None
    assert norm.weight.grad.isfinite().all()


def test_weights_of_batches_load_and_half_a_split_does_not() -> None:
    plain = make_norm("batch", 1, 2)
    plain(some_map(4))
    split = BatchNormByDomain(2)
    load_weights(split, plain.state_dict(), "weights")
    for domain in DOMAINS:
        assert torch.equal(statistics(split, domain)[0], plain.get_buffer("running_mean"))
    with in_domain("simulated"):
        split(some_map(5))
    assert torch.equal(split.running_mean, plain.get_buffer("running_mean"))
    state = split.state_dict()
    del state["simulated.running_var"]
    with pytest.raises(BundleError, match=r"do not fit: missing simulated\.running_var"):
        load_weights(BatchNormByDomain(2), state, "weights")
    with pytest.raises(BundleError, match=r"unknown simulated\.running_mean"):
        load_weights(make_norm("batch", 1, 2), split.state_dict(), "weights")


# which weights a part starts from


@pytest.mark.parametrize(("kind", "name"), PARTS)
def test_batches_are_split_by_domain_and_nothing_else_is_taken_for_the_same(
    kind: str, name: str
) -> None:
    def config(**settings: Any) -> ComponentConfig:
        return configure(kind, {"name": name, **settings})

    split, batch = config(**BY_DOMAIN), config(**BATCH)
    assert split.starts_from(split)
    assert split.starts_from(batch)
    assert config(preset="paper", **BY_DOMAIN).starts_from(config(preset="paper"))
    assert not batch.starts_from(split)
    assert not split.starts_from(config(norm="group"))
    assert not config(norm="group").starts_from(batch)
    assert not split.starts_from(config(**BATCH, widths=[4, 4]))
    assert not split.starts_from(configure("loss", "mel-l1"))


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_speech(tmp_path_factory.mktemp("speech"))


def experiment(speech: Path, objective: Any, norm: dict[str, str], **changes: Any) -> Experiment:
    parts = {"analyzer": {**tiny.ANALYZER, **norm}, "channel": {**tiny.CHANNEL, **norm}}
    return tiny.experiment(speech, objective=objective, model=parts, **changes)


def test_a_run_splits_what_another_learned_together_and_not_the_other_way(
    speech: Path, tmp_path: Path
) -> None:
    train(experiment(speech, "pretrain", BATCH), tmp_path / "together")
    start = {
        "vocoder": str(speech / tiny.BUNDLE),
        **dict.fromkeys(("analyzer", "channel"), str(tmp_path / "together")),
    }
    dual = {"name": "ssl-dual", "backward": "channel"}
    train(experiment(speech, dual, BY_DOMAIN, start=start), tmp_path / "split")
    found = read_bundle(tmp_path / "split").tensors
    means = [name for name in found if name.endswith("simulated.running_mean")]
    assert any(name.startswith("channel.") for name in means)
    apart = [
        name
        for name in means
        if not torch.equal(found[name], found[name.replace("simulated.", "")])
    ]
    assert apart
    start = {**start, **dict.fromkeys(("analyzer", "channel"), str(tmp_path / "split"))}
    words = r"start\.analyzer: .*norm=batch-by-domain.* asks for .*set model\.analyzer to the"
    with pytest.raises(BundleError, match=words):
        train(experiment(speech, dual, BATCH, start=start), tmp_path / "back")


@pytest.mark.parametrize("objective", ["pretrain", "supervised"])
def test_what_was_pretrained_alone_hears_both_domains(
    objective: str, speech: Path, tmp_path: Path
) -> None:
    train(experiment(speech, objective, BY_DOMAIN), tmp_path)
    model = load(tmp_path)
    wave = tiny.speech_like(0.3, 7)
    restored = model.predict(wave)
    with in_domain("simulated"):
        assert torch.equal(model.predict(wave), restored)
    state = model.state_dict()
    counted = [name for name in state if "encoder." in name and "running_" in name]
    assert any("simulated" in name for name in counted)
    for name in counted:
        fresh = 0.0 if name.endswith("mean") else 1.0
        assert (state[name] != fresh).any(), name
