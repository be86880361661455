"""Listening tests: what is asked, who hears what, and the key that says which sound is whose."""

from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from selfremaster.benchmarks.records import Record
from selfremaster.core.components import describe, hint
from selfremaster.core.errors import ExperimentError
from selfremaster.core.experiments import Settings

Test = Literal["mos", "smos", "preference", "mushra"]
Kind = Literal["system", "reference", "shown", "anchor", "noise", "copy"]
Role = Literal["rated", "repeat", "check", "practice"]
Aspect = Literal["speaker", "channel"]

SITE_FORMAT = "selfremaster-listening-1"

KEY_NAME, SITE_NAME, INVITATIONS_NAME = "key.json", "site", "invitations.csv"
REFERENCE, NOISE = "reference", "noise"
TRIALS = {"mos": 40, "smos": 30, "preference": 24, "mushra": 10}
"""How many sentences a listener rates, where there are so many and nobody says."""

MOST_ON_A_PAGE = 12


class ListeningSettings(Settings):
    """What a listening test asks, of how many, and how."""

    test: Annotated[Test, Field(description="mos, smos, preference or mushra")]
    title: Annotated[str, Field(min_length=1, max_length=120, description="title of the pages")] = (
        "Listening test"
    )
    language: Annotated[str, Field(description="language of the pages")] = "en"
    listeners: Annotated[int, Field(ge=1, le=1000, description="playlists that are made")] = 12
    trials: Annotated[
        int | None, Field(ge=1, le=500, description="sentences that a listener rates")
    ] = None
    anchors_hz: Annotated[
        tuple[int, ...] | None, Field(description="low-pass versions of the reference, Hz")
    ] = None
    repeats: Annotated[
        int | None, Field(ge=0, le=20, description="trials that a listener meets twice")
    ] = None
    checks: Annotated[
        int | None, Field(ge=0, le=20, description="trials whose answer is known")
    ] = None
    practice: Annotated[
        int | None, Field(ge=0, le=5, description="trials before those that count")
    ] = None
    baseline: Annotated[
        str | None, Field(description="preference: pairs with this system alone; empty: all pairs")
    ] = None
    ties: Annotated[bool, Field(description="preference: whether none may be preferred")] = True
    aspect: Annotated[
        Aspect, Field(description="smos: similar in the speaker's voice, or the channel's sound")
    ] = "speaker"
    loudness_lufs: Annotated[
        float, Field(ge=-50, le=-10, description="loudness of all sounds, LUFS")
    ] = -23.0
    seed: Annotated[int, Field(ge=0, description="of everything that is drawn")] = 0


class Sentence(NamedTuple):
    """One stretch of speech, as each system gives it."""

    systems: dict[str, Path]
    reference: Path | None = None
    condition: str = ""
    speaker: str = ""


class Material(NamedTuple):
    """All that could be heard: sentences by name, each from every system."""

    systems: tuple[str, ...]
    sentences: dict[str, Sentence]
    left_out: tuple[str, ...] = ()  # sentences that some system lacks

    @property
    def has_references(self) -> bool:
        """Whether every sentence has its reference."""
        return all(sentence.reference for sentence in self.sentences.values())


class Heard(NamedTuple):
    """A sound of the test: of what kind, whose, and of which sentence."""

    kind: Kind
    label: str
    sentence: str


class Clip(Record):
    """A sound file of the pages, and what it is."""

    kind: Kind
    label: str  # the system's name, or reference, noise, anchor 3500 Hz
    sentence: str
    seconds: float
    loudness_lufs: float


class Trial(Record):
    """What a listener meets on one page; clips are names of sound files, in the order shown."""

    role: Role
    clips: tuple[str, ...]
    reference: str | None = None  # the sound that is shown as the reference
    repeats: int | None = None  # the trial of this playlist that comes again


class About(Record):
    """What a report says of a sentence."""

    condition: str = ""
    speaker: str = ""


class Key(Record):
    """Who is who in a listening test; not for listeners."""

    format: Literal["selfremaster-listening-key-1"]
    id: str  # of the test, in every file of answers
    test: Test
    title: str
    settings: dict[str, Any]
    systems: tuple[str, ...]  # in the order of the tables, the reference and anchors too
    sentences: dict[str, About]
    clips: dict[str, Clip]
    playlists: tuple[tuple[Trial, ...], ...]

    @model_validator(mode="after")
    def _check_clips(self) -> Self:
        for trials in self.playlists:
            for trial in trials:
                for clip in (*trial.clips, *([trial.reference] if trial.reference else [])):
                    if clip not in self.clips:
                        raise ValueError(f"no clip {clip!r}; the key is damaged")
        return self

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read what `listen prepare` wrote; raises `ExperimentError`."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise ExperimentError(f"{path}: cannot be read: {reason.lower()}") from None
        except ValidationError as error:
            reason = describe(error)[:160]
            raise ExperimentError(
                f"{path}: is not the key of a listening test ({reason}); give the {KEY_NAME} that "
                f"`selfremaster listen prepare` wrote"
            ) from None

    def kind_of(self, label: str) -> Kind:
        """What a row of the tables is: a system, the hidden reference, or an anchor."""
        return next(clip.kind for clip in self.clips.values() if clip.label == label)


def check_settings(given: dict[str, Any]) -> ListeningSettings:
    """Settings of a test as they were given; raises `ExperimentError`."""
    known = Test.__args__  # type: ignore[attr-defined]  # of a Literal
    test = given.get("test")
    if test not in known:
        raise ExperimentError(f"no listening test {test!r}{hint(str(test), known)}")
    try:
        return ListeningSettings.model_validate(given)
    except ValidationError as error:
        raise ExperimentError(f"listening test: {describe(error, ListeningSettings)}") from None
