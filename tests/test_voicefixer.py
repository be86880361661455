"""VoiceFixer's wrapper, on a package that stands in for the published one."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import selfremaster as sr
from selfremaster.core.errors import BundleError, ComponentError
from selfremaster.core.promises import check
from selfremaster.core.promises.inputs import noise
from tests.traces import state_of_the_process

PACKAGE = '''
import os, torch

os.environ["KMP_DUPLICATE_LIB_OK"] = "True"
CACHE = os.path.join(os.path.expanduser("~"), ".cache", "voicefixer")
FILES = ("analysis_module/checkpoints/vf.ckpt",
         "synthesis_module/44100/model.ckpt-1490000_trimed.pt")
assert all(os.path.exists(os.path.join(CACHE, file)) for file in FILES), "would download"

class VoiceFixer(torch.nn.Module):
    """Frames of 441 samples, five more than there are, as the published vocoder gives them."""

    def __init__(self):
        super().__init__()
        home = os.path.expanduser("~")
        names = [os.path.join(home, ".cache", "voicefixer", file) for file in FILES]
        scale, _ = (torch.load(name)["scale"] for name in names)
        self._model = torch.nn.Module()
        self._model.drawn = torch.nn.Parameter(torch.randn(3))
        self._model.vocoder = lambda mel, cuda=False: torch.cat(
            [mel.flatten()[:-441], torch.ones(6 * 441)])[None, None] * scale

    def restore_inmem(self, wave, cuda, mode, your_vocoder_func):
        pieces = []
        for start in range(0, len(wave), 30 * 44100):
            piece = torch.from_numpy(wave[start : start + 30 * 44100])
            if len(piece) < 1025:
                raise RuntimeError("padding size should be less than the input dimension")
            mel = torch.cat([piece, torch.zeros(441)]).reshape(1, 1, -1, 441)
            print("Warning: Exceed energy limit,", input)
            out = your_vocoder_func(mel)
            assert out.shape[-1] == len(piece)
            pieces.append(out)
        return torch.cat(pieces, -1)[0].numpy()
'''
PLACES = ("analysis_module/checkpoints", "synthesis_module/44100")
WEIGHTS = ("vf.ckpt", "model.ckpt-1490000_trimed.pt")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package that behaves as voicefixer does, halves the level, and its weights."""
    (tmp_path / "voicefixer.py").write_text(PACKAGE)
    for name in ("librosa.display", "matplotlib.pyplot", "torchlibrosa.stft"):
        monkeypatch.setitem(sys.modules, name.partition(".")[0], torch)
        monkeypatch.setitem(sys.modules, name, torch)
    monkeypatch.delitem(sys.modules, "voicefixer", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    for file in WEIGHTS:
        torch.save({"scale": torch.tensor(0.5)}, tmp_path / file)
    yield tmp_path
    sys.modules.pop("voicefixer", None)


def test_voicefixer_gives_every_length_on_time_and_leaves_no_trace(
    stand_in: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = state_of_the_process()
    restorer = sr.build("restorer", {"name": "voicefixer", "weights": str(stand_in)})
    longest = 30 * 44100
    for samples in (1, 440, 4411, longest - 1, longest, longest + 3):
        wave = noise(1, samples)
        assert torch.equal(restorer.restore(wave, 44100), wave / 2)
    check("restorer", restorer)
    after = state_of_the_process()
    assert {name: after[name] == before[name] for name in before} == dict.fromkeys(before, True)
    assert capfd.readouterr() == ("", "")


def test_voicefixer_finds_its_weights_where_the_package_keeps_them(stand_in: Path) -> None:
    cache = stand_in / "home" / ".cache" / "voicefixer"
    words = (
        r"^restorer voicefixer: no .*vf\.ckpt \(zenodo.*\) and no .*model\.ckpt-1490000_trimed\.pt "
        r"\(zenodo.*\) in .*voicefixer; nothing is downloaded: put the weights there"
    )
    with pytest.raises(BundleError, match=words):
        sr.build("restorer", "voicefixer")
    for file, place in zip(WEIGHTS, PLACES, strict=True):
        (cache / place).mkdir(parents=True)
        (stand_in / file).rename(cache / place / file)
    wave = noise(2, 5000)
    restored = sr.build("restorer", "voicefixer:mode=1").restore(wave, 44100)
    assert torch.equal(restored, wave / 2)


def test_voicefixer_without_package_or_with_other_weights_says_so(
    stand_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stand_in / WEIGHTS[0]).write_text("no weights")
    spec = {"name": "voicefixer", "weights": str(stand_in)}
    with pytest.raises(BundleError, match=r"vf\.ckpt and .* are not the weights of voicefixer \("):
        sr.build("restorer", spec)
    (stand_in / WEIGHTS[1]).unlink()
    with pytest.raises(BundleError, match=r"no [^ ]*model\.ckpt-1490000_trimed\.pt \(zenodo"):
        sr.build("restorer", spec)
    monkeypatch.setitem(sys.modules, "voicefixer", None)
    with pytest.raises(ComponentError, match="needs the package voicefixer; pip install voicef"):
        sr.build("restorer", spec)
    with pytest.raises(ComponentError, match="mode=2: Input should be 0 or 1"):
        sr.build("restorer", {**spec, "mode": 2})
