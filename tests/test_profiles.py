"""Profiles: kept whole as small files, mixed, and refused in words where they are none."""

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

import selfremaster as sr
from selfremaster.core.equalising import equaliser
from selfremaster.core.errors import BundleError, ComponentError, SelfRemasterError
from selfremaster.core.files import check_place
from selfremaster.core.profile_files import EXAMPLE
from selfremaster.core.profiles import (
    ChannelProfile,
    ModelIdentity,
    Profile,
    Source,
    SpectralProfile,
    describe_source,
    load_profile,
)
from selfremaster.core.tensorfiles import write_tensors
from selfremaster.core.transferring import put_on
from tests.cli import left_behind, tone, write_tone

MODEL = ModelIdentity(name="tapes", sha256="a" * 64)
TAPE = Source(file="tape 1.wav", seconds=2.5, sha256="0" * 64)

finite = st.floats(-1e6, 1e6)


def channel(*values: float, name: str = "tape", model: ModelIdentity = MODEL) -> ChannelProfile:
    spread = tuple(abs(value) / 10 for value in values)
    return ChannelProfile(name=name, values=values, spread=spread, model=model, sources=(TAPE,))


def spectral(**changes: Any) -> SpectralProfile:
    fields: dict[str, Any] = {
        "name": "tape",
        "quantity": "gain",
        "values": tuple(range(9)),
        "sample_rate": 8000,
        "size": 16,
        **changes,
    }
    return SpectralProfile(**fields)


@pytest.mark.parametrize("suffix", [".json", ".safetensors"])
@pytest.mark.parametrize("profile", [channel(0.1, -2e-7, 3e30), spectral()])
def test_what_is_saved_is_loaded(profile: Profile, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / f"tape{suffix}"
    profile.save(path)
    assert load_profile(path) == profile
    assert type(profile).load(str(path)) == profile
    assert left_behind(tmp_path) == [f"deep/tape{suffix}"]
    profile.save(path)


def test_a_profile_tells_where_it_comes_from(tmp_path: Path) -> None:
    profile = channel(1.0, 2.0)
    profile.save(tmp_path / "tape.json")
    told = json.loads((tmp_path / "tape.json").read_text())
    assert told["kind"] == "channel"
    assert told["model"] == {"name": "tapes", "sha256": "a" * 64}
    assert told["sources"] == [{"file": "tape 1.wav", "seconds": 2.5, "sha256": "0" * 64}]
    assert told["selfremaster"] == profile.selfremaster
    assert len(told["created"].split("-")) == 3
    assert profile.seconds == 2.5
    assert profile.features.tolist() == [1.0, 2.0]
    assert sr.ChannelProfile is ChannelProfile
    assert str(profile.model) == "tapes (aaaaaaaa)"
    assert str(ModelIdentity(name="", sha256="b" * 64)) == "without a name (bbbbbbbb)"


def test_a_source_is_named_without_its_folder(tmp_path: Path) -> None:
    first = describe_source(write_tone(tmp_path / "a" / "tone.wav", samples=2205))
    second = describe_source(write_tone(tmp_path / "b" / "tone.wav", samples=2205))
    assert first == second
    assert (first.file, first.seconds) == ("tone.wav", 0.1)
    other = describe_source(write_tone(tmp_path / "b" / "tone.wav", samples=2206))
    assert other.sha256 != first.sha256


def changed(**changes: Any) -> str:
    fields = json.loads(channel(1.0, 2.0).model_dump_json())
    return json.dumps({key: value for key, value in (fields | changes).items() if value != "gone"})


BAD = {
    "no text": (b"\xff\xfe\x00", "not a profile: it cannot be read as JSON"),
    "no JSON": ("{", "not a profile: it cannot be read as JSON"),
    "nested": ("[" * 100_000, "not a profile: it cannot be read as JSON"),
    "a list": ("[1, 2]", "not a profile; `selfremaster profile` makes one"),
    "other JSON": ('{"a": 1}', "not a profile; `selfremaster profile` makes one"),
    "unknown kind": (changed(kind="smell"), "not a profile; `selfremaster profile` makes one"),
    "kind with a space": (changed(kind="sound "), "not a profile"),
    "kind in a list": (changed(kind=[]), "not a profile; `selfremaster profile` makes one"),
    "kind in a mapping": (changed(kind={"a": []}), "not a profile; `selfremaster profile` makes"),
    "format in a list": (changed(format=[1]), r"written in format \[1\]; this version reads"),
    "beyond float32": (changed(values=[1.0, 1e39]), r"channel profile: values.1=1e\+39: "),
    "far beyond float32": (changed(values=[1, -(10**400)]), "channel profile: values.1: "),
    "spread beyond float32": (changed(spread=[1.0, 1e300]), r"profile: spread.1=1e\+300: "),
    "loud spectrum": (
        json.dumps(json.loads(spectral().model_dump_json()) | {"values": [301.0] * 9}),
        "a damaged spectral profile: values.0=301.0: Input should be less than or equal to 300",
    ),
    "newer": (changed(format=2), "written in format 2; this version reads format 1"),
    "no format": (changed(format="gone"), "written in format None; this version reads format 1"),
    "NaN": (changed(values=[1.0, float("nan")]), r"a damaged channel profile: values.1=nan: "),
    "infinite": (changed(values=[1.0, 1e999]), r"a damaged channel profile: values.1=inf: "),
    "words": (changed(values=["loud", 1]), r"a damaged channel profile: values.0=loud: "),
    "empty": (changed(values=[], spread=[]), "a damaged channel profile: values="),
    "lengths": (changed(values=[1.0]), "1 values and 2 numbers of their spread"),
    "negative": (changed(spread=[1.0, -1.0]), "a spread below 0"),
    "no values": (changed(values="gone"), "a damaged channel profile: values is missing"),
    "no model": (changed(model="gone"), "a damaged channel profile: model is missing"),
    "hash": (changed(model={"name": "m", "sha256": "x"}), "channel profile: model.sha256=x: "),
    "foreign": (changed(vales=[1.0]), "a damaged channel profile: no setting 'vales'"),
    "spectrum": (
        json.dumps(json.loads(spectral().model_dump_json()) | {"size": 32}),
        "a damaged spectral profile: 9 values, where a size of 32 has 17",
    ),
}


@pytest.mark.parametrize(("content", "error"), BAD.values(), ids=BAD)
def test_a_file_that_is_no_profile_is_refused(
    content: str | bytes, error: str, tmp_path: Path
) -> None:
    path = tmp_path / "tape.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(BundleError, match=error) as caught:
        load_profile(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_missing_files_other_suffixes_and_other_kinds_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"tape.json: no such file; `selfremaster profile`"):
        load_profile(tmp_path / "tape.json")
    with pytest.raises(BundleError, match=r"tape.wav: a profile is a .json or .safetensors file"):
        load_profile(write_tone(tmp_path / "tape.wav"))
    with pytest.raises(BundleError, match=r"tape: a profile is a .json or .safetensors file"):
        channel(1.0).save(tmp_path / "tape")
    spectral().save(tmp_path / "tape.json")
    with pytest.raises(BundleError, match="is a spectral profile, not a channel profile"):
        ChannelProfile.load(tmp_path / "tape.json")


def test_tensors_that_are_no_profile_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "tape.safetensors"
    safetensors.torch.save_file({"values": torch.zeros(2)}, path)
    with pytest.raises(BundleError, match="not written by selfremaster"):
        load_profile(path)
    write_tensors(path, {"values": torch.zeros(2)}, {"kind": "bundle"})
    with pytest.raises(BundleError, match="is a bundle, not a profile"):
        load_profile(path)
    channel(1.0, 2.0).save(path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match="does not fit its own hash"):
        load_profile(path)


@given(values=st.lists(finite, min_size=1, max_size=5), weight=st.floats(0, 1))
def test_a_mix_of_a_profile_with_itself_is_itself(values: list[float], weight: float) -> None:
    profile = channel(*values)
    mixed = ChannelProfile.mix([profile, profile], [weight, 1 - weight])
    assert mixed.values == pytest.approx(profile.values, rel=1e-9)
    assert mixed.spread == pytest.approx(profile.spread, rel=1e-9)
    assert (mixed.sources, mixed.name) == (profile.sources, "tape")


@given(first=finite, second=finite, weights=st.tuples(st.floats(0.1, 9), st.floats(0.1, 9)))
def test_a_mix_lies_between(first: float, second: float, weights: tuple[float, float]) -> None:
    a, b = channel(first, name="a"), channel(second, name="b")
    mixed = ChannelProfile.mix([a, b], weights)
    expected = (weights[0] * first + weights[1] * second) / sum(weights)
    assert mixed.values[0] == pytest.approx(expected, rel=1e-9, abs=1e-6)
    assert ChannelProfile.mix([a, b], [1, 0]).values == (first,)
    assert mixed.name == "a + b"
    assert ChannelProfile.mix([a, b], name="both").name == "both"


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        ([1.0], "1 weights for 2 profiles; give one for each"),
        ([0.0, 0.0], "weights 0, 0: give numbers of at least 0, not all of them 0"),
        ([2.0, -1.0], "weights 2, -1: give numbers of at least 0"),
        ([float("nan"), 1.0], "weights nan, 1: give numbers of at least 0"),
        ([float("inf"), 1.0], "weights inf, 1: give numbers of at least 0"),
    ],
)
def test_weights_that_mix_nothing_are_refused(weights: list[float], error: str) -> None:
    with pytest.raises(ComponentError, match=error):
        ChannelProfile.mix([channel(1.0), channel(2.0)], weights)


def test_profiles_that_do_not_belong_together_are_not_mixed() -> None:
    other = ModelIdentity(name="discs", sha256="b" * 64)
    with pytest.raises(
        BundleError, match=r"belongs to model tapes \(aaaaaaaa\), 'b' to discs \(bbbbbbbb\)"
    ):
        ChannelProfile.mix([channel(1.0), channel(1.0, name="b", model=other)])
    with pytest.raises(BundleError, match="has 1 values, 'tape' 2; one of them is damaged"):
        ChannelProfile.mix([channel(1.0), channel(1.0, 2.0)])
    with pytest.raises(BundleError, match="'tape' is a robust gain at 8000 Hz of size 16, 'tape' "):
        SpectralProfile.mix([spectral(), spectral(sample_rate=16000)])
    with pytest.raises(ComponentError, match="no profiles to mix"):
        ChannelProfile.mix([])
    assert SpectralProfile.mix([spectral(), spectral()]) == spectral()


def test_a_gain_is_not_compared_again() -> None:
    with pytest.raises(ComponentError, match="spectral profile 'tape' is a gain already"):
        spectral(quantity="level").against(spectral())


def test_gains_of_two_forms_are_not_mixed() -> None:
    with pytest.raises(BundleError, match=r"is a robust gain at .* a published gain at 8000 Hz"):
        SpectralProfile.mix([spectral(), spectral(form="published")])


def test_the_largest_values_stay_finite_in_float32() -> None:
    largest = float(torch.finfo(torch.float32).max)
    assert torch.isfinite(channel(largest, -largest).features).all()
    assert ChannelProfile.mix([channel(largest), channel(largest)], [0.3, 0.6]).features.isfinite()
    wave = tone(3000, level=0.1)
    for values in ([300.0] * 9, [-300.0] * 8 + [300.0]):
        made = put_on(equaliser(spectral(values=values)), wave, 8000)
        assert torch.isfinite(made).all()
        assert made.any()


def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path: Path) -> None:
    path = tmp_path / "tape.json"
    check_place(path, False, EXAMPLE)
    channel(1.0).save(path)
    with pytest.raises(SelfRemasterError, match="exists already; add --overwrite"):
        check_place(path, False, EXAMPLE)
    check_place(path, True, EXAMPLE)
    with pytest.raises(SelfRemasterError, match="originals are never overwritten"):
        check_place(path, True, EXAMPLE, originals=[path])
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(SelfRemasterError, match=r"is a folder; name a file, such as .*tape.json"):
        check_place(tmp_path / "folder.json", True, EXAMPLE)
