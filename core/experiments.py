"""An experiment: everything that a training run is made of, read from YAML and checked."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from selfremaster.core.components import (
    YAML_ERRORS,
    AnalyzerSpec,
    ChannelSpec,
    ComponentSpec,
    FeaturesSpec,
    ObjectiveSpec,
    VocoderSpec,
    default_part,
    describe,
)
from selfremaster.core.errors import ComponentError, ExperimentError, one_line
from selfremaster.core.plain import (
    MOST_YAML_BYTES,
    RefusedError,
    TooLongError,
    load_yaml,
    read_text,
)

MODULES = ("analyzer", "vocoder", "channel")
"""The modules of a model that have weights, and can start from those of a bundle."""

STREAMS = ("degraded", "clean", "paired_degraded", "paired_clean")
"""The waves that an objective may learn from."""

FOLLOWS = {"paired_degraded": "paired_clean"}
"""Streams that are cut where another one is."""

PAIRED = ("paired_degraded", "paired_clean")
CLEAN = "clean"  # the column of a manifest of pairs


class Settings(BaseModel):
    """A section of an experiment: immutable, unknown keys refused, all numbers finite."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )


class ModelSettings(Settings):
    """The parts of the model."""

    features: Annotated[FeaturesSpec, Field(description="speech features")] = default_part("mel")
    analyzer: Annotated[AnalyzerSpec | None, Field(description="analysis module")] = default_part(
        "unet2d"
    )
    vocoder: Annotated[VocoderSpec, Field(description="synthesis module, used while learning")] = (
        default_part("hifigan")
    )
    channel: Annotated[ChannelSpec | None, Field(description="channel module")] = default_part(
        "unet1d"
    )
    output: Annotated[
        VocoderSpec | None,
        Field(description="what speaks when a recording is restored; empty: the vocoder"),
    ] = None
    peak_db: Annotated[
        float,
        Field(ge=-40, le=0, description="peak level of what the model hears, dB of full scale"),
    ] = -3.0


class SourceSettings(Settings):
    """Where the waves of one stream come from: a folder, or the rows of a manifest."""

    folder: Annotated[Path | None, Field(description="every audio file below it")] = None
    manifest: Annotated[
        Path | None, Field(description="CSV as `selfremaster manifest` writes it")
    ] = None
    split: Annotated[str | None, Field(description="rows of this split alone")] = None
    speakers: Annotated[
        tuple[str, ...] | None, Field(description="rows of these speakers alone")
    ] = None
    label: Annotated[
        str | None,
        Field(description="column of the manifest whose values are the labels of the recordings"),
    ] = None
    column: Annotated[
        str | None,
        Field(description="column of the manifest that names the files; empty: path"),
    ] = None

    @model_validator(mode="after")
    def _check_one_place(self) -> Self:
        if (self.folder is None) == (self.manifest is None):
            raise ValueError("give either folder or manifest")
        rows = (self.split, self.speakers, self.label, self.column)
        if self.folder is not None and any(setting is not None for setting in rows):
            raise ValueError(
                "split, speakers, label and column go with a manifest; make one by "
                "`selfremaster manifest`"
            )
        return self


class PairSettings(Settings):
    """Where both versions of recordings come from: the rows of one manifest."""

    manifest: Annotated[
        Path,
        Field(
            description="CSV as `selfremaster degrade --manifest` writes it: recordings, and "
            "their clean versions in the column clean"
        ),
    ]
    split: Annotated[str | None, Field(description="rows of this split alone")] = None
    speakers: Annotated[
        tuple[str, ...] | None, Field(description="rows of these speakers alone")
    ] = None

    def streams(self) -> dict[str, SourceSettings]:
        """The two streams that the pairs stand for."""
        degraded = SourceSettings(manifest=self.manifest, split=self.split, speakers=self.speakers)
        clean = degraded.model_copy(update={"column": CLEAN})
        return {"paired_degraded": degraded, "paired_clean": clean}


class DataSettings(Settings):
    """The speech to learn from."""

    degraded: Annotated[SourceSettings | None, Field(description="recordings to learn from")] = None
    clean: Annotated[
        SourceSettings | None, Field(description="clean speech, unrelated to them")
    ] = None
    paired_degraded: Annotated[
        SourceSettings | None, Field(description="recordings whose clean version exists")
    ] = None
    paired_clean: Annotated[
        SourceSettings | None,
        Field(description="the clean versions, of the same paths below their folder or manifest"),
    ] = None
    pairs: Annotated[
        PairSettings | None,
        Field(description="both at once, instead of paired_degraded and paired_clean"),
    ] = None
    held_out_degraded: Annotated[
        SourceSettings | None, Field(description="recordings for the validation loss")
    ] = None
    held_out_clean: Annotated[
        SourceSettings | None, Field(description="clean speech for the validation loss")
    ] = None
    held_out_paired_degraded: Annotated[
        SourceSettings | None, Field(description="pairs for the validation loss: the recordings")
    ] = None
    held_out_paired_clean: Annotated[
        SourceSettings | None, Field(description="pairs for the validation loss: clean versions")
    ] = None
    held_out_pairs: Annotated[
        PairSettings | None, Field(description="pairs for the validation loss: both at once")
    ] = None
    segment_seconds: Annotated[float, Field(gt=0, le=600, description="length of a segment")] = 2.0
    batch_size: Annotated[int, Field(ge=1, description="segments of each stream a step")] = 4
    held_out_segments: Annotated[
        int,
        Field(ge=1, description="segments of each stream that the validation loss is measured on"),
    ] = 16
    workers: Annotated[int, Field(ge=0, description="loader processes")] = 0

    features_folder: Annotated[
        Path | None,
        Field(
            description="where speech features are kept that are slow to compute; empty: beside "
            "the manifest or folder they are of"
        ),
    ] = None

    def streams(self) -> dict[str, SourceSettings]:
        """The training streams that are given, by name."""
        return self._given("")

    def held_out(self) -> dict[str, SourceSettings]:
        """The streams of the validation loss that are given, by name."""
        return self._given("held_out_")

    @model_validator(mode="after")
    def _check_one_way(self) -> Self:
        for prefix in ("", "held_out_"):
            twice = [prefix + name for name in PAIRED if getattr(self, prefix + name) is not None]
            if getattr(self, f"{prefix}pairs") is not None and twice:
                raise ValueError(
                    f"{prefix}pairs stands for {prefix}paired_degraded and {prefix}paired_clean; "
                    f"leave out {' and '.join(twice)}"
                )
        return self

    def _given(self, prefix: str) -> dict[str, SourceSettings]:
        named = {name: getattr(self, prefix + name) for name in STREAMS}
        pairs: PairSettings | None = getattr(self, f"{prefix}pairs")
        if pairs is not None:
            named |= pairs.streams()
        return {name: source for name, source in named.items() if source is not None}


class ScheduleSettings(Settings):
    """How the learning rate changes."""

    name: Annotated[
        Literal["constant", "cosine", "plateau"],
        Field(
            description="constant; falling as a cosine to the end of the steps or minutes; or "
            "lower where nothing improves"
        ),
    ] = "plateau"
    warmup_steps: Annotated[int, Field(ge=0, description="steps of linear rise at the start")] = 0
    factor: Annotated[float, Field(gt=0, lt=1, description="plateau: factor of each reduction")] = (
        0.5
    )
    patience: Annotated[
        int, Field(ge=0, description="plateau: checks without improvement before a reduction")
    ] = 3
    minimum: Annotated[float, Field(ge=0, description="lowest learning rate")] = 1e-5


Momentum = Annotated[float, Field(ge=0, lt=1)]


class TrainSettings(Settings):
    """How the run goes."""

    steps: Annotated[int, Field(ge=1, description="steps of the whole run")] = 10_000
    minutes: Annotated[
        float | None,
        Field(
            gt=0,
            description="stop after so many minutes, if that comes first; a cosine ends with them, "
            "so that a resumed run no longer equals an uninterrupted one to the bit",
        ),
    ] = None
    learning_rate: Annotated[float, Field(gt=0, le=1, description="at the start")] = 1e-3
    betas: Annotated[tuple[Momentum, Momentum], Field(description="momenta of Adam")] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0, description="decoupled, as in AdamW")] = 0.0
    clip_gradient: Annotated[
        float | None, Field(gt=0, description="largest gradient norm of each update")
    ] = 1.0
    schedule: ScheduleSettings = ScheduleSettings()
    precision: Annotated[
        Literal["32-true", "bf16-mixed"], Field(description="of the arithmetic")
    ] = "32-true"
    device: Annotated[str, Field(description="auto, cpu, cuda or mps")] = "auto"
    devices: Annotated[
        int, Field(ge=1, description="how many; more than one with strategy ddp")
    ] = 1
    strategy: Annotated[Literal["auto", "ddp"], Field(description="of several devices")] = "auto"
    log_every: Annotated[int, Field(ge=1, description="steps between two log lines")] = 10
    validate_every: Annotated[
        int, Field(ge=1, description="steps between two validation losses")
    ] = 500
    save_every: Annotated[int, Field(ge=1, description="steps between two checkpoints")] = 500
    keep: Annotated[
        Literal["last", "best"],
        Field(description="which weights the bundle gets; best needs held-out speech"),
    ] = "last"
    patience: Annotated[
        int | None,
        Field(
            ge=1,
            description="stop after so many validations in a row without improvement; empty: never",
        ),
    ] = None
    average: Annotated[
        float | None,
        Field(
            ge=0,
            lt=1,
            description="measure and keep a running mean of the weights, which forgets by this "
            "factor a step (0.999: the last thousand steps), in place of the weights themselves",
        ),
    ] = None
    half: Annotated[
        bool, Field(description="store the bundle's weights as float16, in half the bytes")
    ] = False

    @model_validator(mode="after")
    def _check_devices(self) -> Self:
        if self.devices > 1 and self.strategy != "ddp":
            raise ValueError(f"devices={self.devices} needs strategy: ddp")
        return self


class Experiment(Settings):
    """A training run, whole: the model, what it learns, from which speech, and how."""

    name: Annotated[str, Field(min_length=1, description="of the run")] = "experiment"
    seed: Annotated[
        int, Field(ge=0, lt=2**31, description="of weights, segments and drawn damage")
    ] = 0
    compat: Annotated[
        Literal["official-v1", "official-v2"] | None,
        Field(
            description="a published implementation (v1: Interspeech 2022, v2: IEEE Access 2024) "
            "that settings which are left out are taken from, its known defects included"
        ),
    ] = None
    model: ModelSettings = ModelSettings()
    start: Annotated[
        dict[Literal["analyzer", "vocoder", "channel"], str],
        Field(
            description="modules that start from the weights of a bundle: module -> file, built-in "
            "name, or org/name on the Hugging Face Hub"
        ),
    ] = {}
    objective: Annotated[ObjectiveSpec, Field(description="what is learned")] = default_part(
        "ssl-dual"
    )
    data: DataSettings = DataSettings()
    train: TrainSettings = TrainSettings()

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any], origin: str = "experiment") -> Self:
        """Check a plain mapping; raises `ExperimentError`, an unknown key with the nearest."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise ExperimentError(f"{origin}: {describe(error, cls)}") from None

    @classmethod
    def from_file(cls, path: str | Path, overrides: Iterable[str] = ()) -> Self:
        """Read YAML and change single settings by ``a.b=c``; raises `ExperimentError`.

        Relative paths in the file are meant from where the command runs.
        """
        given = read_yaml(Path(path))
        for override in overrides:
            override_setting(given, override)
        return cls.from_mapping(given, str(path))

    def to_yaml(self) -> str:
        """YAML that `from_file` reads back."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def read_yaml(path: Path, what: str = "an experiment") -> dict[str, Any]:
    """A YAML file whose top is a mapping; raises `ExperimentError`, which says what it is to be."""
    try:
        given = load_yaml(read_text(path, MOST_YAML_BYTES))
    except FileNotFoundError:
        raise ExperimentError(f"{path}: no such file; give the path of {what} in YAML") from None
    except IsADirectoryError:
        raise ExperimentError(f"{path}: is a folder; give {what} in YAML") from None
    except TooLongError as error:
        raise ExperimentError(f"{path}: {error}; is it {what} at all?") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ExperimentError(f"{path}: cannot be read as text ({type(error).__name__})") from None
    except RefusedError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ExperimentError(f"{path}, line {line}: {error.problem}") from None
    except yaml.YAMLError as error:
        reason = " ".join(str(getattr(error, "problem", error)).split())
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ExperimentError(f"{path}{where}: is not YAML: {reason}") from None
    except YAML_ERRORS as error:
        raise ExperimentError(
            f"{path}: a value cannot be read as YAML ({one_line(error)}); put text in quotes"
        ) from None
    if not isinstance(given, dict):
        raise ExperimentError(
            f"{path}: holds no settings; write lines such as `objective: ssl-dual`"
        )
    return given


def override_setting(given: dict[str, Any], override: str) -> None:
    """Set one value in place by ``a.b.c=value``; a part written as text is opened to its settings.

    Raises `ExperimentError` when the text is no override or leads through a plain value.
    """
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise ExperimentError(f"--set {override!r} is not a.b=c")
    try:
        value = load_yaml(text)
    except YAML_ERRORS:
        raise ExperimentError(f"--set {override!r}: the value cannot be read as YAML") from None
    current = given
    for position, key in enumerate(keys[:-1]):
        inner = current.get(key)
        if inner is None:
            inner = {}
        elif isinstance(inner, str):
            inner = _opened(inner, override)
        elif not isinstance(inner, dict):
            where = ".".join(keys[: position + 1])
            raise ExperimentError(f"--set {override!r}: {where} is {inner!r} and has no settings")
        current[key] = inner
        current = inner
    current[keys[-1]] = value


def _opened(text: str, override: str) -> dict[str, Any]:
    try:
        spec = ComponentSpec.parse(text)
    except ComponentError as error:
        raise ExperimentError(f"--set {override!r}: {error}") from None
    return {"name": spec.name, **spec.settings}
