"""Profiles: the sound of recordings as a small file, to be put onto other waves."""

from collections.abc import Sequence
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator
from torch import Tensor

from selfremaster.core import audio
from selfremaster.core.bundles import versions
from selfremaster.core.components import describe
from selfremaster.core.errors import BundleError, ComponentError
from selfremaster.core.files import sha256_of
from selfremaster.core.profile_files import FORMAT, not_a_profile, read_fields, write_fields
from selfremaster.core.spectra import LIMIT_DB, NOTHING_DB, Spectrum, gain_between

LARGEST = torch.finfo(torch.float32).max  # channel features are float32
LOUDEST_DB = -NOTHING_DB

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Value = Annotated[FiniteFloat, Field(ge=-LARGEST, le=LARGEST)]
Values = Annotated[tuple[Value, ...], Field(min_length=1)]
Decibels = Annotated[FiniteFloat, Field(ge=NOTHING_DB, le=LOUDEST_DB)]
Form = Literal["robust", "published"]


class Frozen(BaseModel):
    """What never changes, and has no fields but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Frozen):
    """A recording that a profile was taken from."""

    file: str | None  # the name alone; none: a wave given from Python
    seconds: Annotated[FiniteFloat, Field(ge=0)]
    sha256: Sha256  # of the file, or of the samples


class ModelIdentity(Frozen):
    """A model by the name of its experiment and the hash of its analysis and channel module."""

    name: str
    sha256: Sha256

    def __str__(self) -> str:
        """The name, and enough of the hash to tell models apart."""
        return f"{self.name or 'without a name'} ({self.sha256[:8]})"


def _today() -> str:
    return datetime.now(UTC).date().isoformat()


def _own_version() -> str:
    return versions()["selfremaster"]


class Profile(Frozen):
    """What profiles of every kind hold: values with a name and where they come from."""

    tensors: ClassVar[tuple[str, ...]] = ("values",)
    described: ClassVar[str] = "profile"

    format: Literal[1] = FORMAT
    kind: str
    name: str
    values: Values
    sources: tuple[Source, ...] = ()
    selfremaster: str = Field(default_factory=_own_version)
    created: str = Field(default_factory=_today)

    @property
    def seconds(self) -> float:
        """How long the recordings are that it was taken from."""
        return sum(source.seconds for source in self.sources)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the profile, whole or not at all: JSON, or safetensors, as the suffix says."""
        write_fields(Path(path), self.model_dump(mode="json"), self.tensors)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a profile of this kind; raises `BundleError` for everything else."""
        loaded = load_profile(path)
        if not isinstance(loaded, cls):
            raise BundleError(f"{path}: is a {loaded.described}, not a {cls.described}")
        return loaded

    @classmethod
    def mix(
        cls, profiles: Sequence[Self], weights: Sequence[float] | None = None, name: str = ""
    ) -> Self:
        """What lies between profiles: their weighted mean. Without weights, all count the same.

        Raises `ComponentError` for weights that are negative, all 0, or not one for each profile,
        and `BundleError` for profiles that do not belong together.
        """
        shares = _shares(len(profiles), weights)
        first = profiles[0]
        for other in profiles[1:]:
            first._check_mixes_with(other)
        mixed = {
            key: tuple(
                sum(share * value for share, value in zip(shares, column, strict=True))
                for column in zip(*(getattr(profile, key) for profile in profiles), strict=True)
            )
            for key in cls.tensors
        }
        sources = dict.fromkeys(source for profile in profiles for source in profile.sources)
        named = name or " + ".join(dict.fromkeys(profile.name for profile in profiles))
        return first.model_copy(
            update={
                **mixed,
                "name": named,
                "sources": tuple(sources),
                "selfremaster": _own_version(),
                "created": _today(),
            }
        )

    def _check_mixes_with(self, other: Self) -> None:
        raise NotImplementedError


def _shares(count: int, weights: Sequence[float] | None) -> list[float]:
    given = [1.0] * count if weights is None else [float(weight) for weight in weights]
    if not count:
        raise ComponentError("no profiles to mix; give one at least")
    if len(given) != count:
        raise ComponentError(f"{len(given)} weights for {count} profiles; give one for each")
    total = sum(given)
    if not all(weight >= 0 for weight in given) or not 0 < total < float("inf"):
        shown = ", ".join(f"{weight:g}" for weight in given)
        raise ComponentError(f"weights {shown}: give numbers of at least 0, not all of them 0")
    return [weight / total for weight in given]


class ChannelProfile(Profile):
    """How recordings colour speech: their mean channel features, for one model.

    ``spread`` is the standard deviation of each feature over the chunks that the recordings were
    heard in: how much the features hang on what was said in them.
    """

    tensors: ClassVar[tuple[str, ...]] = ("values", "spread")
    described: ClassVar[str] = "channel profile"

    kind: Literal["channel"] = "channel"
    spread: Values
    model: ModelIdentity
    chunks: Annotated[int, Field(ge=1)] = 1
    chunk_seconds: Annotated[FiniteFloat, Field(gt=0)] = 2.0

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if len(self.spread) != len(self.values):
            raise ValueError(
                f"{len(self.values)} values and {len(self.spread)} numbers of their spread"
            )
        if min(self.spread) < 0:
            raise ValueError("a spread below 0")
        return self

    @property
    def features(self) -> Tensor:
        """The channel features, (channel_dim,), float32."""
        return torch.tensor(self.values)

    def _check_mixes_with(self, other: Self) -> None:
        if self.model.sha256 != other.model.sha256:
            raise BundleError(
                f"profile {self.name!r} belongs to model {self.model}, {other.name!r} to "
                f"{other.model}; only profiles of one model can be mixed"
            )
        if len(self.values) != len(other.values):
            raise BundleError(
                f"profile {self.name!r} has {len(self.values)} values, {other.name!r} "
                f"{len(other.values)}; one of them is damaged"
            )


class SpectralProfile(Profile):
    """A mean spectrum of recordings in dB, or the gain that makes it of clean speech.

    A ``level`` is the mean spectrum itself; a ``gain`` what `transfer` multiplies with. A gain of
    the ``robust`` form compares two mean spectra, one of the ``published`` form the same speech
    twice, frame by frame.
    """

    described: ClassVar[str] = "spectral profile"

    kind: Literal["spectrum"] = "spectrum"
    quantity: Literal["level", "gain"]
    form: Form = "robust"  # of how it was measured
    values: Annotated[tuple[Decibels, ...], Field(min_length=1)]
    sample_rate: Annotated[int, Field(ge=1000, le=768000)]
    size: Annotated[int, Field(ge=16, le=65536, multiple_of=2)]
    clean_sources: tuple[Source, ...] = ()  # that a gain was taken against

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if len(self.values) != self.size // 2 + 1:
            raise ValueError(
                f"{len(self.values)} values, where a size of {self.size} has {self.size // 2 + 1}"
            )
        return self

    @classmethod
    def of(
        cls,
        spectrum: Spectrum,
        quantity: Literal["level", "gain"],
        name: str = "",
        sources: Sequence[Source] = (),
        clean_sources: Sequence[Source] = (),
        form: Form = "robust",
    ) -> Self:
        """The profile of a measured spectrum."""
        return cls(
            name=name,
            quantity=quantity,
            form=form,
            values=tuple(round(value, 4) for value in spectrum.values_db.tolist()),
            sample_rate=spectrum.sample_rate,
            size=spectrum.size,
            sources=tuple(sources),
            clean_sources=tuple(clean_sources),
        )

    @property
    def spectrum(self) -> Spectrum:
        """Its values."""
        return Spectrum(torch.tensor(self.values, dtype=torch.float64), self.sample_rate)

    def against(self, clean: "SpectralProfile", limit_db: float = LIMIT_DB) -> "SpectralProfile":
        """The gain that makes the level of these recordings of that of clean speech."""
        for profile in (self, clean):
            if profile.quantity != "level":
                raise ComponentError(
                    f"spectral profile {profile.name!r} is a gain already; give levels"
                )
        gain = gain_between(self.spectrum, clean.spectrum, limit_db=limit_db)
        return SpectralProfile.of(gain, "gain", self.name, self.sources, clean.sources)

    def _check_mixes_with(self, other: Self) -> None:
        if self._measure != other._measure:
            raise BundleError(
                f"profile {self.name!r} is {self._measure}, {other.name!r} is {other._measure}; "
                "only equal ones can be mixed"
            )

    @property
    def _measure(self) -> str:
        return f"a {self.form} {self.quantity} at {self.sample_rate} Hz of size {self.size}"


KINDS: dict[str, type[Profile]] = {"channel": ChannelProfile, "spectrum": SpectralProfile}


def load_profile(path: str | PathLike[str]) -> Profile:
    """Read a profile of any kind; raises `BundleError` for a file that is none, or damaged."""
    place = Path(path)
    fields = read_fields(place)
    kind = fields.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise not_a_profile(place)
    if fields.get("format") != FORMAT:
        raise BundleError(
            f"{place}: written in format {fields.get('format')!r}; "
            f"this version reads format {FORMAT}"
        )
    cls = KINDS[kind]
    try:
        return cls.model_validate(fields)
    except ValidationError as error:
        first = describe(error, cls).partition("; ")[0]
        raise BundleError(f"{place}: a damaged {cls.described}: {first}") from None


def describe_source(path: Path) -> Source:
    """The name, length and hash of a sound file; raises `AudioError` for another file."""
    seconds = audio.inspect(path, strict=False).seconds
    name = path.name.encode("utf-8", "backslashreplace").decode()
    return Source(file=name, seconds=seconds, sha256=sha256_of(path))
