"""The sounds of a benchmark: damaged once, kept by content, and heard as they are measured."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from selfremaster.benchmarks.addresses import address_of
from selfremaster.benchmarks.corpora import Piece
from selfremaster.core import audio
from selfremaster.core.corpora import MOST_APART_SECONDS
from selfremaster.core.degrading import Applied, Step, degrade, generator_for
from selfremaster.core.errors import AudioError, SelfRemasterError
from selfremaster.core.files import write_atomically, write_together
from selfremaster.core.formats import AudioInfo
from selfremaster.core.interfaces import Degradation
from selfremaster.core.parallel import one_thread
from selfremaster.core.signals import fit_length

SOUNDS = "sounds"
DAMAGED = f"{SOUNDS}/damaged"
CLEAN = f"{SOUNDS}/clean"
MOST_CHANNELS = 8  # that FLAC holds
HIGHEST_RATE = 655_350  # Hz, of FLAC
LOG = ".json"


class KeepError(SelfRemasterError):
    """Nothing can be written (a full disk, say): the end of a run, and not a failure of a file."""


class Damage(NamedTuple):
    """What a condition does to the speech of one corpus."""

    content: Any  # of its address
    corpus: str
    seed: int
    part: Degradation | None = None
    name: str = ""

    def address(self, piece: Piece) -> str:
        """Where the damaged twin of a piece is kept."""
        return address_of([self.content, self.corpus, self.seed, piece.content()])


class Heard(NamedTuple):
    """What a restorer is given, and what the result is compared with."""

    wave: Tensor  # (channels, samples)
    sample_rate: int  # Hz
    reference: Tensor | None  # (channels, samples), at the same rate
    no_reference: str  # why there is none
    drawn: tuple[dict[str, Any], ...]
    sounds: Mapping[str, str]  # "input" and "reference" -> file below the output


def put_sound(folder: Path, stem: str, wave: Tensor, sample_rate: int) -> str:
    """Write a sound below the folder, as FLAC where that holds it, else as floating point WAV.

    Gives the name of the file. FLAC has 24 bits and nothing beyond full scale.
    """
    name = f"{stem}{_suffix(wave, sample_rate)}"
    subtype = "PCM_24" if name.endswith(".flac") else "FLOAT"
    put = audio.writer(folder / name, wave, sample_rate, subtype=subtype)
    with _keeping(), write_atomically(folder / name) as temporary:
        put(temporary)
    return name


@contextmanager
def _keeping() -> Iterator[None]:
    try:
        yield
    except SelfRemasterError as error:
        raise KeepError(str(error)) from None


def _suffix(wave: Tensor, sample_rate: int) -> str:
    fits = len(wave) <= MOST_CHANNELS and sample_rate <= HIGHEST_RATE
    return ".flac" if fits and float(wave.abs().max()) <= 1 else ".wav"


def damaged(piece: Piece, damage: Damage) -> tuple[Tensor, tuple[Applied, ...]]:
    """The damaged twin of a file, as long as that, with the lag that is known taken out.

    What is drawn follows from the seed, the corpus and the place of the file in it.
    """
    wave = piece.read()
    if damage.part is None:
        return wave, ()
    generator = generator_for(damage.seed, f"{damage.corpus}/{piece.file}")
    with one_thread():
        twin, applied, _ = degrade(
            wave, piece.sample_rate, [Step(damage.name, damage.part)], generator
        )
    drawn = applied[0].parameters
    # of channels that lag apart the first one tells where the recording lies
    lag = damage.part.delay_of(drawn if isinstance(drawn, dict) else drawn[0], piece.sample_rate)
    return fit_length(twin[:, max(lag, 0) :], wave.shape[-1]), applied


def keep_damaged(folder: Path, piece: Piece, damage: Damage) -> tuple[str, tuple[Any, ...]]:
    """The damaged twin of a file, written if it is not there: its name, and what was drawn.

    Both files are written together, so that whoever finds the log finds the sound.
    """
    stem = f"{DAMAGED}/{damage.address(piece)}"
    log = folder / f"{stem}{LOG}"
    try:
        known = json.loads(log.read_text(encoding="utf-8"))
        ours = known["sound"] in (f"{stem}.flac", f"{stem}.wav")
        if ours and (folder / known["sound"]).is_file():
            return known["sound"], tuple(known["degradation"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    wave, applied = damaged(piece, damage)
    drawn = tuple(one.model_dump(mode="json") for one in applied)
    name = f"{stem}{_suffix(wave, piece.sample_rate)}"
    subtype = "PCM_24" if name.endswith(".flac") else "FLOAT"
    put = audio.writer(folder / name, wave, piece.sample_rate, subtype=subtype)
    text = json.dumps({"sound": name, "degradation": drawn}, allow_nan=False)
    with _keeping(), write_together(folder / name, log) as (temporary_sound, temporary_log):
        put(temporary_sound)
        temporary_log.write_text(text, encoding="utf-8")
    return name, drawn


def clean_address(piece: Piece) -> str:
    """Where the clean speech of a piece is kept."""
    return address_of([piece.content(), piece.sample_rate])


def keep_clean(folder: Path, piece: Piece) -> str:
    """The clean speech itself, or the clean original of a recording, brought to its rate.

    Raises `AudioError` where that is not the same speech.
    """
    stem = f"{CLEAN}/{clean_address(piece)}"
    for suffix in (".flac", ".wav"):
        if (folder / f"{stem}{suffix}").is_file():
            return f"{stem}{suffix}"
    wave = piece.read() if piece.clean is None else _original(piece, piece.clean)
    return put_sound(folder, stem, wave, piece.sample_rate)


def no_original(piece: Piece, *, damaged: bool) -> str | None:
    """Why there is no clean original to compare with, as far as lengths tell; none: there is one.

    ``damaged`` says that the benchmark damages the piece itself, whose original it then is.
    """
    if piece.clean is None:
        return None if damaged else piece.no_clean
    try:
        _look_at(piece, piece.clean)
    except AudioError as error:
        return _of_original(piece, error)
    return None


def _of_original(piece: Piece, error: AudioError) -> str:
    return str(error).replace(f"{piece.clean}: ", "")


def untold(why: str) -> str:
    """Why a restorer that is told the clean original cannot restore.

    >>> untold("")
    'is told the clean original, and there is none; leave it out here, or give the corpus clean'
    """
    given = f": {why}" if why else "; leave it out here, or give the corpus clean"
    return f"is told the clean original, and there is none{given}"


def nothing_clean(why: str) -> str:
    """Why nothing can be transferred."""
    return f"nothing clean to put the sound onto: {why or NO_REFERENCE}"


def _look_at(piece: Piece, path: Path) -> AudioInfo:
    """Make sure that an original is of the same speech."""
    info: AudioInfo = audio.inspect(path)
    whole = audio.inspect(piece.path)
    if abs(info.seconds - whole.seconds) > MOST_APART_SECONDS:
        raise AudioError(
            f"its clean original lasts {info.seconds:.2f} s and it lasts {whole.seconds:.2f} s; "
            "they are not the same speech"
        )
    if info.channels not in (1, piece.channels):
        raise AudioError(
            f"its clean original has {info.channels} channels and it has {piece.channels}"
        )
    return info


def _original(piece: Piece, path: Path) -> Tensor:
    info = _look_at(piece, path)
    wanted = -(-piece.samples * info.sample_rate // piece.sample_rate)
    wave, _ = audio.read(path, samples=wanted)
    at_rate = audio.resample(wave, info.sample_rate, piece.sample_rate)
    return fit_length(at_rate, piece.samples).expand(piece.channels, -1)


def hear(folder: Path, piece: Piece, damage: Damage, task: str) -> Heard:
    """What a file is in a condition: the input of a restorer, and the reference.

    To restore, the damaged speech is the input; to transfer, the clean speech, and its damaged
    twin is the reference. Raises `AudioError` and `ComponentError`.
    """
    damaged_name, drawn = keep_damaged(folder, piece, damage)
    clean_name, reason = None, piece.no_clean
    if piece.clean is not None or damage.part is not None:
        try:
            clean_name = keep_clean(folder, piece)
        except AudioError as error:
            reason = _of_original(piece, error)
    names: dict[str, str] = {"input": damaged_name}
    if task == "transfer":
        if clean_name is None:
            raise AudioError(nothing_clean(reason))
        names = {"input": clean_name, "reference": damaged_name}
    elif clean_name is not None:
        names["reference"] = clean_name
    wave, rate = audio.read(folder / names["input"])
    reference = audio.read(folder / names["reference"])[0] if "reference" in names else None
    return Heard(wave, rate, reference, "" if "reference" in names else reason, drawn, names)


NO_REFERENCE = "there is no clean original"
