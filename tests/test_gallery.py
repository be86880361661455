"""Pictures of degradations: true of levels and frequencies, small, and clear on every part."""

import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from torch import Generator

import selfremaster as sr
from selfremaster.core import audio, gallery, pictures
from selfremaster.core.errors import AudioError, ComponentError
from selfremaster.core.gallery import Example, example_speech, examples_of
from selfremaster.core.interfaces import ComponentConfig, Degradation
from selfremaster.core.streaming import Held
from selfremaster.registry.building import build, component_class
from tests.cli import SPEECH, left_behind, run, tone, with_plugins, write_tone
from tests.strategies import make_wave, seeds

RATE_HZ = 22050
CLIP = "selfremaster.plugins.degradations.clip:Clip"
EXAMPLES = [
    example
    for info in sr.list_components("degradation")
    for example in examples_of(info.name, component_class("degradation", info.name))
]
CLEAR_DB, CLEAR_PART = 0.5, 0.02

STRANGE = '''
"""Parts of a stranger."""

from selfremaster.core.interfaces import Degradation


class Softer(Degradation):
    """Softer | or much softer."""

    examples = {"A bit": "softer", "Much!": "softer"}

    def draw(self, generator, sample_rate):
        return {}

    def apply_one(self, wave, parameters, sample_rate):
        return wave / 10


class Broken(Softer):
    """Out of order."""

    examples = {}

    def apply_one(self, wave, parameters, sample_rate):
        raise RuntimeError("out of\\norder")


class Endless(Broken):
    """Infinite."""

    def apply_one(self, wave, parameters, sample_rate):
        return wave / 0
'''


@pytest.fixture
def strange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The module of a stranger's parts."""
    (tmp_path / "strange_pictures.py").write_text(STRANGE)
    monkeypatch.syspath_prepend(tmp_path)
    return "strange_pictures"


# the speech


def test_the_example_is_a_sentence_of_the_repository_in_twelve_bits() -> None:
    original, rate = audio.read(SPEECH / "heart" / "heart-2.flac")
    wave, own_rate = example_speech()
    assert own_rate == rate
    assert torch.equal(wave, (original[0] * 2048).round() / 2048)
    assert gallery.SPEECH.stat().st_size <= 60_000
    assert wave.abs().max() == pytest.approx(10 ** (-3 / 20), abs=1e-3)


def test_other_speech_is_mixed_and_cut(tmp_path: Path) -> None:
    audio.write(tmp_path / "long.wav", tone(12 * 8000, 2, 8000), 8000, subtype="FLOAT")
    wave, rate = example_speech(tmp_path / "long.wav")
    assert (tuple(wave.shape), rate) == ((80_000,), 8000)
    assert torch.allclose(wave, tone(12 * 8000, 2, 8000).mean(dim=0)[:80_000])


# pictures


def test_no_more_is_drawn_than_can_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    imshow = Axes.imshow

    def seen(self: Axes, image: Any, **options: Any) -> Any:
        drawn.append((image.shape, options["extent"]))
        return imshow(self, image, **options)

    monkeypatch.setattr(Axes, "imshow", seen)
    rate = 192000
    sound = Held(tone(12 * rate, channels=2, rate_hz=rate), rate)
    pictures.write_beginnings(tmp_path / "seen.png", {"before": sound})
    assert drawn == [(pictures.MOST_DRAWN, (0, 12, 0, 96))]
    assert (tmp_path / "seen.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("frequency", [150, 1000, 6000])
def test_a_tone_lies_at_its_place_in_mel(frequency: int) -> None:
    wave = torch.sin(2 * math.pi * frequency * torch.arange(RATE_HZ) / RATE_HZ)
    (level,) = pictures.compare_levels({"tone": wave}, RATE_HZ, 50).values()
    assert level.shape == (pictures.ROWS, 50)
    limits = np.linspace(0, 2595 * math.log10(1 + RATE_HZ / 2 / 700), pictures.ROWS + 1)
    row = int(np.searchsorted(limits, 2595 * math.log10(1 + frequency / 700))) - 1
    assert abs(int(level.mean(axis=1).argmax()) - row) <= 2


def test_colours_can_be_compared_between_two_sounds() -> None:
    noise = make_wave("noise", 1, 20_000, 1.0, 1)[0]
    levels = pictures.compare_levels({"loud": noise, "half": noise / 2}, RATE_HZ, 40)
    assert levels["loud"].max() == 0
    np.testing.assert_allclose(levels["loud"] - levels["half"], 20 * math.log10(2), atol=1e-3)
    silent = pictures.compare_levels({"a": torch.zeros(900), "b": torch.zeros(1)}, RATE_HZ, 40)
    assert all((level == pictures.FLOOR_DB).all() for level in silent.values())


def test_the_waveform_is_drawn_by_its_lowest_and_highest_samples() -> None:
    lowest, highest = pictures.envelope(torch.tensor([0.0, 1.0, -2.0, 0.5, 0.25, -0.25]), 3)
    assert lowest.tolist() == [0.0, -2.0, -0.25]
    assert highest.tolist() == [1.0, 0.5, 0.25]


@settings(max_examples=5)
@given(
    sort=st.sampled_from(["silence", "noise", "click", "square"]),
    samples=st.sampled_from([1, 700, 60_000]),
    seed=seeds(),
)
def test_a_picture_is_small_and_always_the_same(sort: str, samples: int, seed: int) -> None:
    image = pytest.importorskip("PIL.Image")
    wave, other = make_wave(sort, 2, samples, 0.5, seed)
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder, "one.png"), Path(folder, "two.png")
        for path in (one, two):
            pictures.write_comparison(path, {"before": wave, "after": other}, RATE_HZ)
        data = one.read_bytes()
        assert data == two.read_bytes()
        assert len(data) <= pictures.SMALL_BYTES
        with image.open(one) as opened:
            assert opened.size == (pictures.WIDTH, pictures.HEIGHT)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.file)
def test_every_degradation_shows(example: Example) -> None:
    wave, rate = example_speech()
    part = build("degradation", example.spec)
    damaged = part.apply(wave[None], part.draw(Generator().manual_seed(0), rate), rate)[0]
    before, after = pictures.compare_levels({"a": wave, "b": damaged}, rate, 290).values()
    change_db = np.abs(after - before).mean()
    sides = zip(pictures.envelope(wave, 290), pictures.envelope(damaged, 290), strict=True)
    change = max(np.abs(one - other).max() for one, other in sides) / float(wave.abs().max())
    assert change_db > CLEAR_DB or change > CLEAR_PART


# the command


def test_one_picture_by_name_and_settings(tmp_path: Path) -> None:
    spec = "clip:ratio=[0.05, 0.2]"
    words = ("show", "degradation", spec, "--picture")
    told = run(*words, tmp_path / "new" / "clip.png")
    assert told == (0, f"degradation {spec} -> {tmp_path}/new/clip.png\n", "")
    drawn = json.loads(run(*words, tmp_path / "again.png", "--json").out)
    assert drawn["degradation"] == spec
    assert 0.05 <= drawn["parameters"]["ratio"] <= 0.2
    first = (tmp_path / "new" / "clip.png").read_bytes()
    assert first == (tmp_path / "again.png").read_bytes()
    assert run(*words, tmp_path / "again.png", "--seed", "1", "--overwrite").code == 0
    assert (tmp_path / "again.png").read_bytes() != first
    speech = write_tone(tmp_path / "tone.wav", 9000)
    assert run(*words, tmp_path / "tone.png", "--speech", speech).code == 0
    assert (tmp_path / "tone.png").read_bytes() != first


def test_a_page_of_all_with_the_examples_of_each_and_what_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strange: str
) -> None:
    parts = [("ours", "degradation", "clip", CLIP)] + [
        ("odd", "degradation", name.lower(), f"{strange}:{name}")
        for name in ("Softer", "Broken", "Endless", "Nowhere")
    ]
    folder = tmp_path / "page"
    with with_plugins(monkeypatch, *parts):
        told = run("show", "degradation", "--pictures", folder)
        assert told.code == 1
        assert told.out == f"3 pictures of 2 degradations -> {folder}/README.md\n"
        lines = told.err.splitlines()
        assert lines[-1] == "error: 3 of 5 degradations have no picture"
        for words in ("RuntimeError: out of order", "endless: gives samples that", "'nowhere' of"):
            assert any(line.startswith("failed: ") and words in line for line in lines)
        assert left_behind(folder) == [
            "README.md", "clip.png", "softer-a-bit.png", "softer-much.png"
        ]  # fmt: skip
        page = (folder / "README.md").read_text(encoding="utf-8")
        rows = [line for line in page.splitlines() if line.startswith("| `")]
        assert rows[0].startswith("| `clip` | Flatten every sample beyond +-ratio * peak. | ![clip")
        assert rows[0].endswith("(clip.png) | `ratio=0.25`<br>`reference=absolute` |")
        assert "Softer \\| or much softer." in rows[1]
        assert "A bit: `softer`<br>![softer, before and after](softer-a-bit.png)<br>" in rows[1]
        again = run("show", "degradation", "--pictures", folder)
        assert f"{folder}/README.md: exists already; add --overwrite" in again.error
        words = ("show", "degradation", "softer", "--pictures", folder, "--overwrite", "--json")
        report = json.loads(run(*words).out)
        assert list(report["pictures"]) == ["softer"]
        assert report["failed"] == {}
        assert (folder / "README.md").read_text(encoding="utf-8") == page  # which stays of all
        for words in (("--pictures", tmp_path / "b"), ("--picture", tmp_path / "b.png")):
            alone = run("show", "degradation", "broken", *words)
            assert alone.error == "error: degradation broken: RuntimeError: out of order"
        assert left_behind(folder) == [
            "README.md", "clip.png", "softer-a-bit.png", "softer-much.png"
        ]  # fmt: skip
        assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (["tape", "disc"], "degradation odd: its examples are list and no mapping of captions"),
        ({"old": 3}, "degradation odd: its examples are dict and no mapping of captions to parts"),
        ({"A b": "odd", "a, B!": "odd"}, r"captions of its examples \(A b, a, B!\) give one file"),
    ],
)
def test_examples_that_are_ill_declared_are_one_line(told: object, words: str) -> None:
    with pytest.raises(ComponentError, match=words):
        examples_of("odd", type("Odd", (), {"examples": told}))


def test_the_settings_of_composites_are_told_by_name(tmp_path: Path) -> None:
    assert run("show", "degradation", "chain", "--pictures", tmp_path).code == 0
    assert "`steps=clip, band-limit`" in (tmp_path / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("degradation", "--picture", "a.png"), "--picture needs a name, such as clip; --pictures"),
        (("degradation", "clp", "--picture", "a.png"), "no degradation named 'clp'; did you mean"),
        (("degradation", "clip:ratio=2", "--picture", "a.png"), "clip: ratio=2: Input should be"),
        (("degradation", "clip", "--picture", "a.jpg"), "a.jpg: pictures are PNG; name it a.png"),
        (("degradation", "clip", "--picture", "folder"), "folder: is a folder; name a file, such"),
        (("degradation", "clip", "--picture", "there.png"), "there.png: exists already; add --ov"),
        (("degradation", "clip", "--picture", "text/a.png"), "text: cannot be made, text is a f"),
        (("degradation", "clip", "--picture", "a.png", "--speech", "no.wav"), "no.wav: cannot be"),
        (("degradation", "clip", "--picture", "a.png", "--speech", "text"), "text: not audio, or"),
        (("degradation", "clip", "--speech", "text"), "--speech is for pictures; give --picture"),
        (("degradation", "clip", "--picture", "a.png", "--pictures", "b"), "give one of them"),
        (("degradation", "clp", "--pictures", "b"), "no degradation named 'clp'; did you mean"),
        (("degradation", "--pictures", "text"), "text: is a file; name a folder for the pictures"),
        (("degradation", "clip", "--pictures", "text/b"), "text/b: cannot be made, text is a"),
        (
            ("degradation", "clip", "--seed", "1"),
            "--seed is for pictures; give --picture or --pict",
        ),
        (("vocoder", "world", "--seed", "1"), "pictures show what a degradation does; write: show"),
        (("degradation", "clip:ratio=0.2"), "takes a name without settings: clip, or add --pictu"),
        (("vocoder", "ddsp:a=1"), "show vocoder takes a name without settings: ddsp"),
        (("vocoder", "world", "--picture", "a.png"), "pictures show what a degradation does; wri"),
        (("experiment", "--pictures", "b"), "pictures show what a degradation does; write: show"),
    ],
)
def test_what_cannot_be_drawn_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], error: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    Path("text").write_text("no sound")
    Path("there.png").write_text("kept")
    assert error in run("show", *words).error
    assert left_behind(tmp_path) == ["text", "there.png"]


def test_a_degradation_that_gives_no_numbers_is_named(tmp_path: Path) -> None:
    class Endless(Degradation):
        def draw(self, generator: Generator, sample_rate: int) -> dict[str, float]:
            return {}

        def apply_one(self, wave: torch.Tensor, *_: object) -> torch.Tensor:
            return wave / 0

    wave, rate = example_speech()
    with pytest.raises(AudioError, match="degradation endless: gives samples that are not finite"):
        gallery.picture(tmp_path / "a.png", "endless", Endless(ComponentConfig()), wave, rate)
    assert left_behind(tmp_path) == []
