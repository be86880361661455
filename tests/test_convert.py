"""Published checkpoints become models of ours: every variant, the same sound, nothing executed."""

import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from selfremaster.core.components import ComponentSpec
from selfremaster.core.errors import BundleError, ComponentError
from selfremaster.core.interfaces import Features, Vocoder
from selfremaster.core.models import Model
from selfremaster.registry import converting, published
from selfremaster.registry.building import build
from selfremaster.registry.converting import prepare, read_tensors
from tests import checkpoints
from tests.published import given, output

NORMAL = "SSLDualLightningModule melspec normal [v1]"
PUBLISHED_SIZES = {"unet2d": 30_834_867, "unet2d-gst": 16_058_163}


@lru_cache(maxsize=2)
def features_of(text: str) -> Features:
    made: Features = build("features", text)
    return made


@lru_cache(maxsize=8)
def empty_model(features: str, analyzer: str, channel: str, vocoder: str) -> Model:
    """A model without memory for its weights."""
    features_part = features_of(features)
    with torch.device("meta"):
        analysis = build("analyzer", analyzer, features=features_part)
        synthesis = build("vocoder", vocoder, features=features_part)
        return Model(features_part, synthesis, analysis, build("channel", channel))


@lru_cache(maxsize=1)
def smallest_vocoder() -> Vocoder:
    made: Vocoder = build("vocoder", "hifigan:preset=v3")
    return made


def described(tensors: checkpoints.Tensors) -> published.Description:
    return published.describe_remaster({key: tuple(t.shape) for key, t in tensors.items()})


def fitted(tensors: checkpoints.Tensors) -> tuple[published.Description, Model, dict[str, int]]:
    """What conversion does but for loading: a description, a model, and what is left out."""
    told = described(tensors)
    ours, ignored = published.renamed(tensors, told)
    kinds = ("features", "analyzer", "channel", "vocoder")
    model = empty_model(*(str(ComponentSpec.parse(told.model[kind])) for kind in kinds))
    published.check(ours, model.state_dict(), told)
    assert len(ours) + sum(ignored.values()) == len(tensors)
    return told, model, ignored


@pytest.mark.parametrize("name", checkpoints.names())
def test_every_published_variant_is_known_and_fits(name: str) -> None:
    tensors = checkpoints.remaster(name)
    if "vocfeats" in name:
        pytest.importorskip("pyworld")
    told, model, ignored = fitted(tensors)
    assert told.version == ("v1" if "[v1]" in name else "v2")
    assert told.features == ("mel" if "melspec" in name else "source-filter")
    assert told.model["analyzer"]["name"] == ("unet2d-gst" if " gst" in name else "unet2d")
    assert told.model["channel"]["kernel"] == 3
    assert told.model["peak_db"] == (-3 if told.version == "v1" else 0)
    assert told.model["vocoder"].get("lag_samples", 0) == (128 if told.features == "mel" else 0)
    scales = 5 if told.version == "v1" else 6
    assert ignored["windows of the losses"] == scales
    labels = ignored.get("predictor of channel labels, used in training only", 0)
    assert labels == (9 if "channel loss" in name else 0)
    assert model.analyzer is not None
    learned = sum(weight.numel() for weight in model.analyzer.parameters())
    assert learned == pytest.approx(PUBLISHED_SIZES[told.model["analyzer"]["name"]], rel=0.01)


@pytest.mark.parametrize("kernel", [5, 7, 9])
def test_the_kernel_of_the_channel_module_is_seen(kernel: int) -> None:
    name = "SSLDualLightningModule melspec normal [v2]"
    told, _, _ = fitted(checkpoints.remaster(name, kernel=kernel))
    assert told.model["channel"]["kernel"] == kernel


def test_a_checkpoint_without_its_losses_may_be_of_either_version() -> None:
    tensors = checkpoints.remaster(NORMAL)
    bare = {name: tensor for name, tensor in tensors.items() if not name.startswith("criteria")}
    told = described(bare)
    assert (told.version, told.model["peak_db"]) == (None, -3)
    bare["chpredictor.in_linear.bias"] = torch.zeros(256)
    assert described(bare).version == "v2"


@torch.no_grad()
def test_converted_modules_give_the_published_numbers() -> None:
    filled = checkpoints.remaster(NORMAL, "encoder.", "channelfeats.")
    filled["channel.after_conv_block1.bn1.num_batches_tracked"] = torch.tensor(70_000)
    made = prepare(filled, "official")
    model = made.model.eval()
    assert model.analyzer is not None
    mel = given("mel", "mel", (2, 1, 50, 80))[:, 0].transpose(1, 2)
    analysis = model.analyzer(mel)
    wanted = output("encoder_melspec/out/feature")[:, 0].transpose(1, 2)
    torch.testing.assert_close(analysis.features, wanted, rtol=0, atol=1e-4)
    wanted = output("channelfeats/out/vector")
    torch.testing.assert_close(analysis.channel_features, wanted, rtol=0, atol=1e-4)
    tracked = model.state_dict()["channel.after_conv_block1.bn1.num_batches_tracked"]
    assert (tracked.dtype, int(tracked)) == (torch.int64, 70_000)
    assert made.experiment.model.peak_db == -3
    assert made.ignored == {"window and mel filterbank": 2, "windows of the losses": 5}


@pytest.mark.parametrize(
    ("norm", "kind", "lag"),
    [(True, "melspec", 128), (False, "melspec", 128), (True, "vocfeats", 0)],
)
def test_generators_are_known_in_either_layout(norm: bool, kind: str, lag: int) -> None:
    if kind == "vocfeats":
        pytest.importorskip("pyworld")
    made = prepare(checkpoints.generator(kind, norm=norm), "voice")
    assert made.model.analyzer is None
    assert made.model.vocoder.channels == (80 if kind == "melspec" else 42)
    assert made.experiment.model.vocoder.settings["lag_samples"] == lag
    assert len(made.tensors) == (234 if norm else 156)


@pytest.mark.parametrize("preset", ["v2", "v3"])
def test_the_smaller_generators_are_known_by_their_shapes(preset: str) -> None:
    vocoder = build("vocoder", f"hifigan:preset={preset}")
    made = prepare(vocoder.state_dict(), "voice", keep_lag=True)
    settings = made.experiment.model.vocoder.settings
    assert (settings["preset"], settings["lag_samples"]) == (preset, 0)
    assert torch.equal(
        made.model.vocoder.state_dict()["conv_pre.weight_v"],
        vocoder.state_dict()["conv_pre.weight_v"],
    )


def small() -> checkpoints.Tensors:
    """The tensors of the smallest published generator."""
    return dict(smallest_vocoder().state_dict())


def test_what_does_not_fit_is_listed_by_its_published_name() -> None:
    weights = small()
    del weights["ups.0.bias"]
    weights["ups.0.gain"] = torch.ones(1)
    weights["conv_post.bias"] = torch.zeros(2)
    weights["ups.1.bias"] = torch.zeros(64, dtype=torch.int64)
    with pytest.raises(BundleError) as raised:
        prepare(weights, "voice")
    assert str(raised.value) == (
        "its tensors do not fit: missing ups.0.bias; extra ups.0.gain; ups.1.bias holds int64; "
        "conv_post.bias is 2, not 1"
    )


def test_numbers_that_are_none_are_told() -> None:
    weights = small()
    weights["conv_pre.bias"] = torch.full((256,), float("nan"))
    with pytest.raises(BundleError, match=r"not finite in float32: conv_pre\.bias$"):
        prepare(weights, "voice")


ODD: dict[str, Callable[[Tensor], Tensor]] = {
    "sparse_coo": Tensor.to_sparse,
    "sparse_csr": lambda bias: bias[None].to_sparse_csr(),
    "on the device meta": lambda bias: bias.to("meta"),
    "float8_e4m3fn": lambda bias: bias.to(torch.float8_e4m3fn),
    "complex64": lambda bias: bias.to(torch.complex64),
    "int8": lambda bias: bias.to(torch.int8),
    "bool": lambda bias: bias > 0,
    "nested": lambda bias: torch.nested.nested_tensor([bias, bias[:3]]),
    "qint8": lambda bias: torch.quantize_per_tensor(bias, 0.1, 0, torch.qint8),
}


@pytest.mark.filterwarnings("ignore")  # torch warns of nested, sparse and quantised tensors
@pytest.mark.parametrize("kind", ODD)
@pytest.mark.parametrize("name", ["conv_pre.bias", "a foreign one"])
def test_tensors_that_are_no_plain_ones_are_told(kind: str, name: str, tmp_path: Path) -> None:
    weights = {**small(), name: ODD[kind](small()["conv_pre.bias"])}
    torch.save({"generator": weights}, tmp_path / "g")
    with pytest.raises(BundleError) as raised:
        converting.convert(tmp_path / "g", tmp_path / "bundle")
    assert str(raised.value) == (
        f"{tmp_path / 'g'}: {name} is {kind}; convert reads dense tensors of float16, bfloat16, "
        "float32, float64, int64, have the weights saved as such"
    )
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_weights_of_any_usual_precision_become_float32(dtype: torch.dtype) -> None:
    weights = {name: tensor.to(dtype) for name, tensor in small().items()}
    vocoder = prepare(weights, "voice").model.vocoder.state_dict()
    assert torch.equal(vocoder["conv_pre.bias"], weights["conv_pre.bias"].float())
    assert {tensor.dtype for tensor in vocoder.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("conv_pre.bias", 1e300),  # finite, until it is float32
        ("conv_pre.bias", -float("inf")),
        ("conv_pre.weight_v", 0.0),  # no direction to give a norm to
    ],
)
def test_numbers_that_a_bundle_could_not_hold_are_told(name: str, value: float) -> None:
    weights = small()
    weights[name] = torch.full_like(weights[name], value, dtype=torch.float64)
    words = rf"^holds numbers that are not finite in float32: {name}$"
    with pytest.raises(BundleError, match=words):
        prepare(weights, "voice")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"in_linear.weight": torch.ones(256, 64)}, "in_linear.weight is 256x64, not 256x128"),
        ({"batch_norm.num_batches_tracked": None}, "missing chpredictor.batch_norm.num_batches_t"),
        ({"more": torch.ones(3)}, "extra chpredictor.more"),
    ],
    ids=str,
)
def test_the_predictor_of_labels_has_to_fit_too(
    change: dict[str, Tensor | None], words: str
) -> None:
    tensors = checkpoints.remaster("SSLDualLightningModule melspec normal with channel loss [v2]")
    published.check_label_predictor({name: tuple(t.shape) for name, t in tensors.items()})
    for name, tensor in change.items():
        tensors.pop(f"chpredictor.{name}", None)
        if tensor is not None:
            tensors[f"chpredictor.{name}"] = tensor
    with pytest.raises(BundleError, match=words):
        prepare(tensors, "labelled")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder.more": torch.ones(1)}, "extra encoder.more"),
        ({"decoder.weight": torch.ones(1)}, "extra decoder.weight"),
        ({"gst.stl.embed": None}, "missing gst"),
        ({"encoder.after_linear.weight": torch.ones(60, 80)}, "60x80; axis 0 should be 80 or 41"),
        ({"encoder.after_linear.weight": torch.ones(41, 80)}, "but its vocoder takes mel"),
        ({published.FIRST_CHANNEL: torch.ones(32, 1, 4)}, "axis 2 should be 3 or 5 or 7 or 9"),
        ({"vocoder.conv_pre.weight": None}, "missing vocoder.conv_pre.weight_v"),
    ],
    ids=str,
)
def test_a_changed_checkpoint_is_refused(change: dict[str, Tensor | None], words: str) -> None:
    gst = any(name.startswith("gst.") for name in change)
    tensors = checkpoints.remaster(NORMAL.replace("normal", "gst") if gst else NORMAL)
    for name, tensor in change.items():
        tensors.pop(name, None)
        if tensor is not None:
            tensors[name] = tensor
    with pytest.raises(BundleError, match=words):
        fitted(tensors)


def test_features_may_be_named_if_the_weights_are_for_as_many() -> None:
    made = prepare(small(), "voice", features="mel:floor=1.0e-4")
    assert made.experiment.model.features.settings["floor"] == 1e-4
    assert prepare(small(), "voice", features="mel").model.features.channels == 80
    with pytest.raises(ComponentError, match="mel_bands 40, the weights are made for 80"):
        prepare(small(), "voice", features=ComponentSpec.parse("mel:bands=40"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"mpd": {"a": torch.ones(1)}, "msd": {}}, "it holds mpd, msd, which are no tensors"),
        ({"state_dict": {"a": torch.ones(1), "b": 3}}, "it holds b, which are no tensors"),
        ({"state_dict": {}}, "it holds nothing"),
        ([torch.ones(1)], "holds a list, not named tensors"),
        ({"a": torch.ones(1)}, "no tensors encoder.*, channel.*, vocoder.*, but a"),
    ],
    ids=str,
)
def test_other_files_of_torch_are_told_apart(content: Any, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(BundleError) as raised:
        converting.convert(tmp_path / "other.pt", tmp_path / "bundle")
    assert words in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path / 'other.pt'}: ")
    assert not (tmp_path / "bundle").exists()


class Bomb:
    """Writes a file where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Path.write_text, (self.canary, "executed")


def as_zip(path: Path, content: Any) -> None:
    torch.save(content, path)


def as_legacy(path: Path, content: Any) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def as_pickle(path: Path, content: Any) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def as_tar(path: Path, content: Any) -> None:
    """The format of torch 0.1: a tar whose members are pickles."""
    with tarfile.open(path, "w:") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            data = pickle.dumps(content)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("write", [as_zip, as_legacy, as_pickle, as_tar])
def test_nothing_in_a_file_is_executed(write: Any, tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "bomb.ckpt"
    write(path, {"state_dict": {"a": torch.ones(1)}, "callbacks": Bomb(canary)})
    with pytest.raises(BundleError, match=r"which could execute code|so that it is not read"):
        read_tensors(path)
    assert not canary.exists()


def test_the_bomb_would_go_off_in_careless_hands(tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "bomb.ckpt"
    as_zip(path, Bomb(canary))
    torch.load(path, weights_only=False)
    assert canary.read_text() == "executed"


def test_what_is_refused_beside_the_tensors_is_named(tmp_path: Path) -> None:
    path = checkpoints.save(
        tmp_path / "a.ckpt", small(), hyper_parameters={"root": PurePosixPath("x")}
    )
    with pytest.raises(BundleError) as raised:
        read_tensors(path)
    assert str(raised.value).startswith("holds pathlib.PurePosixPath beside its tensors")
    assert "nothing of it was loaded" in str(raised.value)
    assert "weights_only" not in str(raised.value)


def test_plain_entries_of_a_checkpoint_are_told_and_left(tmp_path: Path) -> None:
    callbacks = {"checkpoint": {"best": torch.ones(1), "path": "a", "k": [1, 2.0, None]}}
    path = checkpoints.save(
        tmp_path / "a.ckpt", small(), callbacks=callbacks, hyper_parameters={"beta": 0.001}
    )
    tensors, other = read_tensors(path)
    assert tensors.keys() == small().keys()
    assert other == ("epoch", "callbacks", "hyper_parameters")


@pytest.mark.parametrize("write", [as_zip, as_legacy])
def test_older_files_of_torch_and_safetensors_are_read(write: Any, tmp_path: Path) -> None:
    write(tmp_path / "old.pt", {"generator": small()})
    save_file(small(), tmp_path / "new.safetensors")
    for name in ("old.pt", "new.safetensors"):
        tensors, _ = read_tensors(tmp_path / name)
        np.testing.assert_equal(tensors["conv_post.bias"].shape, (1,))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("cut.ckpt", b"PK\x03\x04 and no more", "damaged"),
        ("empty.ckpt", b"", "damaged|so that it is not read"),
        ("text.ckpt", b"hello", "damaged|so that it is not read"),
        ("text.safetensors", b"hello", "not a safetensors file"),
    ],
)
def test_damaged_files_are_told(name: str, content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BundleError, match=words):
        read_tensors(tmp_path / name)


def test_a_cut_checkpoint_is_told(tmp_path: Path) -> None:
    torch.save(small(), tmp_path / "whole.pt")
    content = (tmp_path / "whole.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match="damaged"):
        read_tensors(tmp_path / "cut.pt")
    assert zipfile.is_zipfile(tmp_path / "whole.pt")


def test_torch_that_can_be_made_to_execute_code_reads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(small(), tmp_path / "a.pt")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cpu")
    with pytest.raises(BundleError, match=r"torch 2\.9\.1\+cpu, .* install torch 2\.10 or later"):
        read_tensors(tmp_path / "a.pt")
    monkeypatch.setattr(torch, "__version__", "2.10.0")
    assert read_tensors(tmp_path / "a.pt")[0].keys() == small().keys()


def test_a_file_beyond_all_published_sizes_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(small(), tmp_path / "a.pt")
    monkeypatch.setattr(converting, "LARGEST_BYTES", 1000)
    with pytest.raises(BundleError, match="is larger than"):
        read_tensors(tmp_path / "a.pt")
