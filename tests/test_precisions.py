"""Models compute in bfloat16 where it is asked for: close to what they say otherwise, and told."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import selfremaster as sr
from selfremaster.core import audio, precisions
from selfremaster.core.bundles import fold
from selfremaster.core.domains import in_domain
from selfremaster.core.errors import ComponentError
from selfremaster.core.models import Model
from selfremaster.core.precisions import choose_arithmetic, computing
from selfremaster.core.promises.inputs import noise, speech_like
from selfremaster.plugins.analyzers.blocks import ResidualBlock, Style
from selfremaster.plugins.analyzers.norms import make_norm, scale_and_shift
from selfremaster.registry.assembling import load
from tests import tiny
from tests.cli import run

CPU = torch.device("cpu")


def db_between(found: Tensor, wanted: Tensor) -> float:
    """How far below a wave its difference from another one lies, dB."""
    return float(10 * ((found - wanted).square().mean() / wanted.square().mean()).log10())


def with_units(monkeypatch: pytest.MonkeyPatch, *there: str) -> None:
    """A processor that has these units for bfloat16."""
    for name, asked in precisions.PROCESSOR_UNITS.items():
        monkeypatch.setattr(torch.cpu, asked, lambda name=name: name in there, raising=False)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return load(tiny.write_model(tmp_path_factory.mktemp("model") / "tiny.safetensors", seed=1))


def test_auto_goes_by_what_the_processor_has(monkeypatch: pytest.MonkeyPatch) -> None:
    with_units(monkeypatch)
    without = choose_arithmetic("auto", CPU)
    with_units(monkeypatch, "AMX", "AVX512-BF16")
    chosen = choose_arithmetic("auto", CPU)
    assert (without.precision, chosen.precision) == ("fp32", "bf16")
    assert without.reason == ("fp32: the processor has no bfloat16 arithmetic (AMX or AVX512-BF16)")
    assert chosen.reason == "bf16: the processor computes bfloat16 by AMX and AVX512-BF16"
    assert choose_arithmetic("fp32", CPU).precision == "fp32"


def test_bf16_can_be_asked_for_where_nothing_is_known_to_be_fast_at_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with_units(monkeypatch)
    assert choose_arithmetic("bf16", CPU).precision == "bf16"
    with pytest.raises(ComponentError, match=r"on the device mps; it is for cpu and cuda, give"):
        choose_arithmetic("bf16", torch.device("mps"))
    assert choose_arithmetic("auto", torch.device("mps")).precision == "fp32"


def test_other_precisions_are_refused_in_words() -> None:
    with pytest.raises(ComponentError, match=r"'fp16'; give one of auto, fp32, bf16"):
        choose_arithmetic("fp16", CPU)


def test_networks_compute_in_it_and_only_inside() -> None:
    layer = nn.Linear(2, 2)
    with computing("bf16", CPU):
        assert layer(torch.ones(1, 2)).dtype == torch.bfloat16
    with computing("fp32", CPU):
        assert layer(torch.ones(1, 2)).dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


@pytest.mark.parametrize("channels", [1, 2])
def test_a_model_restores_nearly_the_same(model: Model, channels: int) -> None:
    wave = 0.3 * speech_like(9000).expand(channels, -1)
    exact = model.restore(wave, 16000)
    rounding = copy.deepcopy(model)
    rounding.precision = "bf16"
    found = rounding.restore(wave, 16000)
    assert found.shape == exact.shape
    assert found.dtype == exact.dtype
    assert -80 < db_between(found, exact) < -20
    assert torch.equal(rounding.restore(wave, 16000, strength=0), wave)
    assert torch.equal(model.restore(wave, 16000), exact)


def test_the_built_in_model_hardly_differs() -> None:
    wave, rate = audio.read(Path(__file__).parents[1] / "examples/degraded/heart/heart-1.flac")
    default = load("default")
    default.output = None
    exact = default.restore(wave[:, : 2 * rate], rate)
    default.precision = "bf16"
    levels = [
        default.features.log_mel(one) for one in (exact, default.restore(wave[:, : 2 * rate], rate))
    ]
    decibels = (levels[1] - levels[0]).abs().mean() * 20 / torch.tensor(10.0).log()
    assert decibels < 0.2


def test_restore_says_what_was_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_units(monkeypatch, "AMX")
    bundle = tiny.write_model(tmp_path / "tiny.safetensors", seed=1)
    audio.write(tmp_path / "old.wav", 0.3 * speech_like(9000), 16000)
    results = {}
    for precision in ("fp32", "bf16", "auto"):
        target = tmp_path / f"{precision}.wav"
        asked = ("--model", bundle, "--output", target, "--precision", precision)
        told = run("restore", tmp_path / "old.wav", *asked)
        assert told.code == 0, told.err
        results[precision] = audio.read(target)[0]
        reason = "precision bf16: the processor computes bfloat16 by AMX\n"
        assert told.err == ("" if precision == "fp32" else reason)
    assert torch.equal(results["auto"], results["bf16"])
    assert not torch.equal(results["fp32"], results["bf16"])
    refused = run(
        "restore", tmp_path / "old.wav", "--output", tmp_path / "x.wav", "--precision", "int8"
    )
    assert refused.error == "error: precision 'int8'; give one of auto, fp32, bf16"


# what is put into one operation while nothing is learned


@pytest.mark.parametrize("norm", ["batch", "batch-by-domain", "group", "none"])
@pytest.mark.parametrize("dims", [1, 2])
def test_a_norm_is_put_into_the_convolution_before_it(norm: str, dims: int) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        block = ResidualBlock(Style(dims=dims, norm=norm), 3, 5)  # type: ignore[arg-type]  # by name
        hidden = torch.randn(2, 3, *[6] * dims)
        for _ in range(3):
            block(hidden + torch.randn(()))  # statistics are heard in training
    block.eval()
    assert (scale_and_shift(block.bn2) is None) == (norm in ("group", "none"))
    wanted = block.conv2(
        nn.functional.leaky_relu(
            block.bn2(block.conv1(nn.functional.leaky_relu(block.bn1(hidden), 0.01))), 0.01
        )
    ) + block.shortcut(hidden)  # type: ignore[misc]  # it has one
    torch.testing.assert_close(block(hidden), wanted, atol=1e-5, rtol=1e-5)


def test_the_domain_says_which_statistics_are_meant() -> None:
    norm = make_norm("batch-by-domain", 1, 2)
    for domain, level in (("recordings", 0.0), ("simulated", 9.0)):
        with in_domain(domain):  # type: ignore[arg-type]  # one of the two
            norm(level + noise(4, 8).reshape(4, 2, 4))
    shifts = []
    for domain in ("recordings", "simulated"):
        with in_domain(domain):  # type: ignore[arg-type]  # one of the two
            known = scale_and_shift(norm.eval())
            assert known is not None
            shifts.append(known[1])
    assert (shifts[1] < shifts[0] - 0.01).all()
    assert scale_and_shift(norm.train()) is None


@pytest.mark.parametrize("preset", ["small", "paper"])
def test_folding_an_analysis_module_changes_the_order_of_weights_alone(preset: str) -> None:
    mel = sr.build("features", "mel")
    small = "widths=[4, 8],branch_widths=[8],channel_dim=4"
    analyzer = sr.build("analyzer", f"unet2d:preset={preset},{small}", features=mel).eval()
    log_mel = mel(speech_like(20000))
    wanted, kept = analyzer(log_mel), analyzer.state_dict()
    folded = copy.deepcopy(analyzer)
    fold(folded)
    found = folded(log_mel)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
    assert folded.state_dict().keys() == kept.keys()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in folded.state_dict().items())
    widest = folded.encoder.get_submodule("down_block2.conv_block1").conv1.weight
    assert widest.is_contiguous(memory_format=torch.channels_last)
