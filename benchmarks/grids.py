"""A benchmark's grid: which restorers meet which conditions on which speech, read from YAML."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from selfremaster.core.components import (
    DegradationSpec,
    MetricSpec,
    RestorerSpec,
    describe,
    hint,
)
from selfremaster.core.errors import ExperimentError
from selfremaster.core.experiments import Settings, override_setting, read_yaml

Task = Literal["restore", "transfer"]
LONGEST_LABEL = 80


def _plain_label(text: str) -> str:
    if not 0 < len(text) <= LONGEST_LABEL or set(text) & set("\n|/\\"):
        raise ValueError(
            f"a name of 1 to {LONGEST_LABEL} characters, none of which is |, /, \\ or a new line"
        )
    return text


def _once(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed is there twice, and would count twice; give each once")
    return seeds


Label = Annotated[str, AfterValidator(_plain_label)]

RUN = "run:"
PLACEHOLDER = re.compile(r"\$\{([^}]*)\}")
PLACES = ("recordings", "clean", "condition", "corpus", "seed")
"""What a training run's settings may stand on: ``${recordings}`` and so on, and ``${run:NAME}``."""
RECORDINGS = "recordings"
CLEAN = "clean"


class CorpusSettings(Settings):
    """Speech that is damaged and restored, or recordings with or without clean originals."""

    folder: Annotated[Path | None, Field(description="sound files, or a corpus as it unpacks")] = (
        None
    )
    layout: Annotated[
        Literal["files", "jsut", "jvs", "vctk", "vctk-mic2", "ljspeech", "libritts"],
        Field(description="how the folder lies: sound files, or a published corpus"),
    ] = "files"
    manifest: Annotated[
        Path | None, Field(description="CSV as `selfremaster manifest` writes it")
    ] = None
    split: Annotated[str | None, Field(description="rows of this split; empty: all rows")] = "test"
    speakers: Annotated[
        tuple[str, ...] | None,
        Field(description="rows of these speakers alone; a name may end in *"),
    ] = None
    files_per_speaker: Annotated[
        int | None, Field(ge=1, description="the first so many of each speaker; empty: all")
    ] = None
    seconds: Annotated[
        float | None, Field(gt=0, description="cut longer files to so much; empty: whole")
    ] = None
    clean: Annotated[
        str | None,
        Field(
            description="where the clean originals of recordings are: a column of the manifest, or "
            "a folder of the same tree; the recordings are then left as they are"
        ),
    ] = None

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if (self.folder is None) == (self.manifest is None):
            raise ValueError("give either folder or manifest")
        return self


class ConditionSettings(Settings):
    """What is done to the speech before anybody restores it."""

    degradation: Annotated[
        DegradationSpec | None, Field(description="damage; empty: the speech is as it is")
    ] = None
    corpora: Annotated[
        tuple[str, ...] | None, Field(description="on these corpora alone; empty: on all")
    ] = None


def _opened(given: Any) -> Any:
    """A condition's degradation, written as it is, in its place."""
    if given is None or isinstance(given, str):
        return {"degradation": given}
    if isinstance(given, dict) and "name" in given:
        return {"degradation": given}
    if not isinstance(given, (dict, ConditionSettings)):
        raise ValueError("give a degradation, or {degradation: ..., corpora: [...]}")
    return given


Condition = Annotated[
    ConditionSettings,
    BeforeValidator(_opened, json_schema_input_type=ConditionSettings | DegradationSpec | None),
]


def _spelt(pattern: str) -> str:
    """A placeholder's name, if there is one of it."""
    known = (RUN, f"{RECORDINGS}:", f"{CLEAN}:")
    if not pattern.startswith(known) and pattern not in PLACES:
        raise ValueError(f"${{{pattern}}} stands for nothing{hint(pattern, PLACES)}")
    return pattern


class Grid(Settings):
    """Everything that a benchmark compares: each restorer on each corpus in each condition."""

    name: Annotated[Label, Field(description="title of the report")] = "benchmark"
    about: Annotated[str, Field(description="what the report says first, Markdown")] = ""
    caveats: Annotated[str, Field(description="what limits the numbers, Markdown")] = ""
    task: Annotated[
        Task,
        Field(
            description="restore: damaged speech, measured against the clean; transfer: clean "
            "speech gets the sound of recordings, measured against its damaged twin"
        ),
    ] = "restore"
    corpora: Annotated[dict[Label, CorpusSettings], Field(min_length=1, description="speech")]
    conditions: Annotated[
        dict[Label, Condition], Field(min_length=1, description="damage; empty: none")
    ]
    restorers: Annotated[
        dict[Label, RestorerSpec], Field(min_length=1, description="who is compared")
    ]
    metrics: Annotated[tuple[MetricSpec, ...], Field(min_length=1, description="what is measured")]
    runs: Annotated[
        dict[Label, dict[str, Any]],
        Field(
            default_factory=dict,
            description="training runs that restorers name as ${run:NAME}: experiments, in which "
            "${recordings} is the manifest of the corpus's damaged speech, ${clean} its own, and "
            "${clean:CORPUS} that of another corpus",
        ),
    ]
    recordings: Annotated[
        CorpusSettings | None,
        Field(description="speech whose damaged versions ${recordings} are, with its splits"),
    ] = None
    seeds: Annotated[
        tuple[int, ...], AfterValidator(_once), Field(min_length=1, description="of the damage")
    ] = (0,)
    baseline: Annotated[
        str | None, Field(description="restorer that others are tested against; empty: the first")
    ] = None
    examples: Annotated[
        int, Field(ge=0, le=50, description="files of each condition that the report plays")
    ] = 3

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        if self.baseline is not None and self.baseline not in self.restorers:
            raise ValueError(
                f"baseline: no restorer {self.baseline!r}{hint(self.baseline, self.restorers)}"
            )
        for name, condition in self.conditions.items():
            for corpus in condition.corpora or ():
                if corpus not in self.corpora:
                    raise ValueError(
                        f"conditions.{name}: no corpus {corpus!r}{hint(corpus, self.corpora)}"
                    )
        settings = [(f"runs.{name}", given) for name, given in self.runs.items()]
        settings += [(f"restorers.{k}", dict(v.settings)) for k, v in self.restorers.items()]
        for name, given in settings:
            for place in placeholders(given):
                _spelt(place)
                run = place.removeprefix(RUN)
                if place.startswith(RUN) and run not in self.runs:
                    raise ValueError(f"{name}: no run {run!r}{hint(run, self.runs)}")
                corpus = place.removeprefix(f"{CLEAN}:")
                if corpus != place and corpus not in self.corpora:
                    raise ValueError(f"{name}: no corpus {corpus!r}{hint(corpus, self.corpora)}")
                if not place.startswith(RECORDINGS):
                    continue
                if self.recordings is None:
                    raise ValueError(f"{name}: ${{recordings}} stands for nothing; give recordings")
                other = Recordings.parse(place).condition
                if other is not None and other not in self.conditions:
                    raise ValueError(
                        f"{name}: no condition {other!r}{hint(other, self.conditions)}"
                    )
        return self

    @classmethod
    def from_file(cls, path: str | Path, overrides: Iterable[str] = ()) -> Self:
        """Read YAML and change single settings by ``a.b=c``; raises `ExperimentError`.

        Relative paths in the file are meant from where the command runs.
        """
        given = _unshared(read_yaml(Path(path), "a grid"))
        for override in overrides:
            override_setting(given, override)
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise ExperimentError(f"{path}: {describe(error, cls)}") from None

    @property
    def reference(self) -> str:
        """The restorer that others are tested against."""
        return self.baseline or next(iter(self.restorers))

    def cells(self) -> Iterator["Place"]:
        """Every place of the grid, conditions first."""
        for condition, chosen in self.conditions.items():
            for corpus in chosen.corpora or self.corpora:
                for seed in self.seeds:
                    for restorer in self.restorers:
                        yield Place(condition, corpus, seed, restorer)


def _unshared(given: Any) -> Any:
    """The settings without what YAML's anchors share, so that a change here is none there."""
    if isinstance(given, dict):
        return {key: _unshared(value) for key, value in given.items()}
    return [_unshared(value) for value in given] if isinstance(given, list) else given


class Place(NamedTuple):
    """Where a cell stands in the grid."""

    condition: str
    corpus: str
    seed: int
    restorer: str


class Recordings(NamedTuple):
    """What ``${recordings}`` stands for: those of the cell's own condition, if no other is named.

    With a number it stands for the first so many minutes of the training split, other splits whole.

    >>> Recordings.parse("recordings:clipped:5")
    Recordings(condition='clipped', minutes=5.0)
    """

    condition: str | None = None
    minutes: float | None = None

    @classmethod
    def parse(cls, name: str) -> Self:
        """Take ``recordings``, ``recordings:CONDITION`` or ``recordings:MINUTES`` apart."""
        found = cls()
        for word in name.split(":")[1:]:
            number = re.fullmatch(r"\d+(\.\d+)?", word)
            given = {"minutes": float(word)} if number else {"condition": word}
            found = found._replace(**given)
        return found


def placeholders(given: Any) -> Iterator[str]:
    """The names that stand as ``${NAME}`` anywhere in settings.

    >>> list(placeholders({"start": {"analyzer": "${run:pretrain}"}, "seed": "${seed}"}))
    ['run:pretrain', 'seed']
    """
    if isinstance(given, str):
        yield from PLACEHOLDER.findall(given)
    elif isinstance(given, Mapping):
        for value in given.values():
            yield from placeholders(value)
    elif isinstance(given, (list, tuple)):
        for value in given:
            yield from placeholders(value)


def fill(given: Any, values: Mapping[str, Any]) -> Any:
    """The settings with every ``${NAME}`` replaced; one that stands alone keeps its value's type.

    >>> fill({"seed": "${seed}", "name": "run-${seed}"}, {"seed": 3})
    {'seed': 3, 'name': 'run-3'}
    """
    if isinstance(given, str):
        whole = PLACEHOLDER.fullmatch(given)
        if whole:
            return values[whole[1]]
        return PLACEHOLDER.sub(lambda found: str(values[found[1]]), given)
    if isinstance(given, Mapping):
        return {key: fill(value, values) for key, value in given.items()}
    if isinstance(given, (list, tuple)):
        return [fill(value, values) for value in given]
    return given
