"""Clean speech that Debian packages hold, as sound files with a manifest, to train vocoders with.

``python -m selfremaster.benchmarks.open_speech --output FOLDER`` takes the voices of Asterisk's
prompts (G.722) and of festvox-ru, as far as their packages are installed; ``--corpus`` adds the
files of a manifest of other speech, with its splits.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from selfremaster.benchmarks.telephone import CLEAN_SUFFIX, RATE_HZ, SOUNDS, decode, say_left_out
from selfremaster.core import audio, manifests
from selfremaster.core.errors import AudioError, ExperimentError, SelfRemasterError
from selfremaster.core.files import sha256_of
from selfremaster.core.manifests import Item, Manifest
from selfremaster.core.splits import SPLITS, draw_splits

FESTIVAL = Path("/usr/share/festival/voices")
PACKAGES = "asterisk-core-sounds-{en,es,fr,it,ru}-g722 festvox-ru"
SHORTEST_SECONDS = 1.0
FRACTIONS = (0.97, 0.03, 0.0)
SHOWN_VOICES = 12


class Found(NamedTuple):
    """A sound file of a voice, not read yet."""

    voice: str
    name: str
    path: Path
    split: str = ""  # where a manifest tells it

    @property
    def place(self) -> str:
        """Where it goes, below the output."""
        return f"{self.voice}/{self.name}.flac"


def prompts(sounds: Path) -> Iterator[Found]:
    """Asterisk's prompts; each folder with a language in its name is a voice."""
    for voice in sorted(path for path in sounds.glob("*_*_*") if path.is_dir()):
        for path in sorted(voice.rglob(f"*{CLEAN_SUFFIX}")):
            name = path.relative_to(voice).with_suffix("").as_posix()
            yield Found(voice.name, name.replace("/", "-"), path)


def recordings(voices: Path) -> Iterator[Found]:
    """The recordings that Festival's voices are cut from; the folder of each is its name."""
    for path in sorted(voices.rglob("wav/*.wav")):
        yield Found(path.parents[1].name, path.stem, path)


def corpus(path: Path) -> Iterator[Found]:
    """The files of a manifest, but for those that are kept for tests."""
    manifest = manifests.read(path)
    for item in manifest.items:
        if item.split != SPLITS[-1]:
            name = Path(item.path).with_suffix("").as_posix().replace("/", "-")
            voice = item.speaker or manifest.folder.resolve().name
            yield Found(safe(voice), name, manifest.file(item), item.split)


def safe(name: str) -> str:
    """A voice as the name of a folder, which leads nowhere else.

    >>> safe("../anna b")
    'anna-b'
    """
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "voice"


def read(found: Found) -> tuple[Tensor, int]:
    """The wave (channels, samples) and its rate, Hz."""
    if found.path.suffix == CLEAN_SUFFIX:
        return decode(found.path)[None], RATE_HZ
    return audio.read(found.path)


def collect(found: Sequence[Found], output: Path, seed: int = 0) -> tuple[Manifest, list[str]]:
    """Write the files of a second or more and their manifest; gives it, and what is left out.

    Raises `ExperimentError` where there are none, or two that would lie in one place.
    """
    for name, count in Counter(one.place for one in found).items():
        if count > 1:
            raise ExperimentError(
                f"{count} files would become {name}; give the voices of the manifests other names"
            )
    drawn = draw_splits({one.place: one.voice for one in found}, "multi-seen", FRACTIONS, seed)
    items, left_out = [], []
    for one in found:
        try:
            wave, rate = read(one)
        except AudioError as error:
            left_out.append(str(error))
            continue
        seconds = wave.shape[-1] / rate
        if seconds < SHORTEST_SECONDS:
            left_out.append(f"{one.path}: {seconds:.2f} s")
            continue
        place = output / one.place
        audio.write(place, wave.clamp(-1, 1), rate, subtype="PCM_16")
        split = one.split or drawn[one.place]
        items.append(Item(one.place, split, one.voice, seconds, rate, len(wave), sha256_of(place)))
    if not items:
        raise ExperimentError(
            f"no speech was found; `apt-get install {PACKAGES}`, or name other speech by --corpus"
        )
    manifest = Manifest(output, tuple(sorted(items, key=lambda item: item.path)))
    manifests.write(manifest, output / "manifest.csv")
    return manifest, left_out


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        prog="python -m selfremaster.benchmarks.open_speech",
        description="Gather clean speech with open licences in one folder, with a manifest.",
    )
    made.add_argument("--output", required=True, type=Path, help="folder of the speech")
    made.add_argument("--sounds", type=Path, default=SOUNDS, help="folder of Asterisk's prompts")
    made.add_argument("--voices", type=Path, default=FESTIVAL, help="folder of Festival's voices")
    made.add_argument(
        "--corpus",
        action="append",
        default=[],
        type=Path,
        metavar="MANIFEST",
        help="other speech; its files for tests are left out; may be repeated",
    )
    made.add_argument("--seed", type=int, default=0, help="of the splits")
    return made


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code."""
    given = parser().parse_args(words)
    try:
        for folder, usual in ((given.sounds, SOUNDS), (given.voices, FESTIVAL)):
            if folder != usual and not folder.is_dir():
                raise ExperimentError(f"{folder}: no such folder")
        found = [*prompts(given.sounds), *recordings(given.voices)]
        for path in given.corpus:
            found += corpus(path)
        manifest, left_out = collect(found, given.output, given.seed)
    except (SelfRemasterError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    voices = manifest.speakers()
    minutes = {voice: 0.0 for voice in voices}
    for item in manifest.items:
        minutes[item.speaker] += (item.seconds or 0) / 60
    for voice in sorted(voices, key=lambda voice: -minutes[voice])[:SHOWN_VOICES]:
        print(f"{voice}: {minutes[voice]:.1f} minutes")
    if len(voices) > SHOWN_VOICES:
        print(f"and {len(voices) - SHOWN_VOICES} other voices")
    total = sum(minutes.values())
    print(f"{len(manifest.items)} files, {total:.0f} minutes -> {given.output / 'manifest.csv'}")
    say_left_out(left_out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
