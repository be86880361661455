"""Audio effect transfer: clean speech gets the sound of recordings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import Field, model_validator
from torch import Tensor

from selfremaster.core.components import ComponentConfig, ModelReference
from selfremaster.core.corpora import entries_from
from selfremaster.core.devices import choose_device
from selfremaster.core.effects import Effect
from selfremaster.core.equalising import (
    compare_files,
    equaliser,
    lowest_rate,
    make_level,
    make_published_gain,
    measure_files,
)
from selfremaster.core.experiments import CLEAN
from selfremaster.core.interfaces import Restorer
from selfremaster.core.jobs import Failure
from selfremaster.core.models import Model
from selfremaster.core.transferring import (
    channel_of,
    check_channel,
    hear_files,
    identify,
    make_profile,
    put_on,
)

Done = TypeVar("Done")
MANIFEST = ".csv"


class TransferConfig(ComponentConfig):
    """Settings of `Transfer`."""

    recordings: Annotated[
        str, Field(description="recordings whose sound is put on: a file, folder or manifest")
    ]
    method: Annotated[
        Literal["channel", "spectrum", "published"],
        Field(
            description="by channel features of a model; by the mean spectrum against that of "
            "clean speech; or by the mean spectral difference of pairs, as published"
        ),
    ] = "channel"
    model: Annotated[
        ModelReference | None,
        Field(description="method channel: what hears and damages: name, bundle, run or Hub id"),
    ] = None
    clean: Annotated[
        str | None,
        Field(description="method spectrum: any clean speech: a file, folder or manifest"),
    ] = None
    clean_speakers: Annotated[
        tuple[str, ...] | None, Field(description="of a manifest of clean speech, these alone")
    ] = None
    split: Annotated[str | None, Field(description="of manifests; empty: all rows")] = "train"
    files: Annotated[
        int | None, Field(ge=1, description="the first so many of each; empty: all")
    ] = 20
    strength: Annotated[
        float, Field(ge=0, le=1.5, description="0 changes nothing, 1 is all, 1.5 exaggerates")
    ] = 1.0
    device: Annotated[str, Field(description="auto, cpu, cuda or mps")] = "cpu"

    @model_validator(mode="after")
    def _check_method(self) -> Self:
        needs = {"channel": ("model",), "spectrum": ("clean",), "published": ()}[self.method]
        for name in ("model", "clean"):
            if (getattr(self, name) is not None) != (name in needs):
                word = "give" if name in needs else "leave out"
                raise ValueError(f"method {self.method}: {word} {name}")
        if self.method == "published" and Path(self.recordings).suffix.lower() != MANIFEST:
            raise ValueError("method published: give a manifest of pairs as recordings")
        return self


class Transfer(Restorer):
    """Put the sound of recordings onto a clean wave, at its own level and the same way up.

    It makes clean speech old, so it belongs into benchmarks of the task transfer. What the
    recordings sound like is heard once, when it is built.

    Shape: wave (channels, samples) -> (channels, samples), float32, full scale = 1.
    Source: audio effect transfer of SelfRemaster (Interspeech 2022), section 3.5, and its baseline.
    Raises `AudioError` and `ExperimentError` for recordings that cannot be read, `BundleError` for
    a model without channel module, `ComponentError` for settings of another method.

    The sound of the clean speech itself changes nothing:

    >>> import torch
    >>> from selfremaster.core.gallery import SPEECH
    >>> same = TransferConfig(method="spectrum", recordings=str(SPEECH), clean=str(SPEECH))
    >>> Transfer(same).restore(torch.tensor([[0.0, 0.5, -0.5]]), 8000).round(decimals=4).tolist()
    [[0.0, 0.5, -0.5]]
    """

    Config = TransferConfig
    config: TransferConfig

    def __init__(self, config: TransferConfig, model: Model | None = None) -> None:
        super().__init__(config)
        self.model = None if model is None else model.to(choose_device(config.device))
        self._effect = self._by_spectrum() if self.model is None else self._by_channel(self.model)

    def restore(self, wave: Tensor, sample_rate: int, reference: Tensor | None = None) -> Tensor:
        """The wave with the sound of the recordings."""
        del reference
        made: Tensor = put_on(
            self._effect, wave.detach().float(), sample_rate, self.config.strength
        )
        return made

    def _by_channel(self, model: Model) -> Effect:
        check_channel(model)
        heard = _all_of(hear_files(model, self._files(self.config.recordings)))
        return channel_of(model, make_profile(heard, identify(model)))

    def _by_spectrum(self) -> Effect:
        recordings = self._files(self.config.recordings)
        if self.config.clean is None:
            originals = self._files(self.config.recordings, column=CLEAN)
            pairs = dict(zip(recordings, originals, strict=True))
            rate = lowest_rate([*recordings, *originals])
            return equaliser(make_published_gain(_all_of(compare_files(pairs, rate)), rate))
        clean = self._files(self.config.clean, speakers=self.config.clean_speakers)
        rate = lowest_rate([*recordings, *clean])
        levels = [
            make_level(_all_of(measure_files(paths, rate)), rate) for paths in (recordings, clean)
        ]
        return equaliser(levels[0].against(levels[1]))

    def _files(
        self, place: str, speakers: tuple[str, ...] | None = None, column: str | None = None
    ) -> list[Path]:
        """The first files of a manifest's split, of a folder, or the file itself."""
        path = Path(place)
        if path.suffix.lower() == MANIFEST:
            found = entries_from(
                manifest=path, split=self.config.split, speakers=speakers, column=column
            )
        elif path.is_file():
            return [path]
        else:
            found = entries_from(folder=path, speakers=speakers)
        return [entry.path for entry in found[: self.config.files]]


def _all_of(results: Iterable[Done | Failure]) -> list[Done]:
    """What came of each file; raises for the first that cannot be used."""
    done = []
    for result in results:
        if isinstance(result, Failure):
            raise result.error
        done.append(result)
    return done
