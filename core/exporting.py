"""Models for other programs: their modules as ONNX files, checked number by number."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from selfremaster.core.errors import ComponentError, SelfRemasterError
from selfremaster.core.files import write_together
from selfremaster.core.graphs import (
    EXTRA,
    PACKAGES,
    CannotExportError,
    Difference,
    Part,
    Whole,
    analysis_of,
    between,
    graph_of,
    session_of,
    synthesis_of,
    told,
)
from selfremaster.core.models import Model
from selfremaster.core.packages import require

SUFFIX = ".onnx"
CHECKED = ((2, 71), (1, 257))  # batches and frames besides the fewest frames
FEWEST = (1, 2, 4, 8, 16, 32, 64)  # frames that are tried


class Exported(NamedTuple):
    """A file that was made."""

    part: str  # analysis, synthesis, or model for both in one
    path: Path
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    least_frames: int
    difference: float  # the largest between ONNX Runtime and torch
    largest: float  # number of the output that differs so


class Export(NamedTuple):
    """The files, and in a line each what is not in them."""

    files: list[Exported]
    left_out: list[str]


def export(model: Model, output: Path, notes: Mapping[str, str]) -> Export:
    """Write a model's modules as ONNX, whole or not at all.

    A path that ends in ``.onnx`` gets the model as one graph, from the log-mel (and the source
    rows, where the features have any) to the wave, or the analysis module alone where the vocoder
    cannot be exported; any other path is a folder, which gets ``analysis.onnx`` and
    ``synthesis.onnx``. Batch and frames are free. Each file carries the ``notes``, and is run by
    ONNX Runtime beside torch at three lengths before anything is written.

    Raises `ComponentError` where a package is missing, or nothing of the model can be exported;
    `SelfRemasterError` where the numbers differ by more than the part allows of the largest.
    """
    for package in PACKAGES:
        require(package, EXTRA)
    single = output.suffix == SUFFIX
    contents, files, left_out = [], [], []
    for alternatives in parts_of(model, single):
        for part in alternatives:
            try:
                graph = graph_of(part, model.features.silence)
            except CannotExportError as error:
                left_out.append(f"{part.title}: {error}")
                continue
            place = output if single else output / f"{part.name}{SUFFIX}"
            found = _checked(graph, part, place, model.features.silence)
            contents.append(_with_notes(graph, found, notes))
            files.append(found)
            break
    if model.output is not None:
        speaker = type(model.output).__name__
        left_out.append(f"the output {speaker}: it works on the recording itself")
    if not files:
        raise ComponentError(f"nothing of this model can be exported: {'; '.join(left_out)}")
    with write_together(*(found.path for found in files)) as temporaries:
        for temporary, content in zip(temporaries, contents, strict=True):
            temporary.write_bytes(content)
    return Export(files, left_out)


def names_of(output: Path) -> list[Path]:
    """The files that may be written."""
    if output.suffix == SUFFIX:
        return [output]
    return [output / f"{part}{SUFFIX}" for part in ("analysis", "synthesis")]


def parts_of(model: Model, single: bool) -> list[list[Part]]:
    """What is wanted of a model; of alternatives the first that can be had."""
    features = model.features
    synthesis = synthesis_of(model)
    if model.analyzer is None:
        return [[synthesis]]
    analysis = analysis_of(model.analyzer, features)
    if not single:
        return [[analysis], [synthesis]]
    hearing, vocoder = model.analyzer, model.vocoder
    source = {"source": features.source_channels} if features.source_channels else {}
    whole = Part(
        "model",
        "the model as one graph, with its vocoder",
        Whole(hearing, vocoder),
        lambda: Whole(hearing, vocoder.portable()),
        {**analysis.inputs, **source},
        (*analysis.outputs, "wave"),
        max(analysis.tolerance, vocoder.rounding),
    )
    return [[whole, analysis]]


def _checked(graph: Any, part: Part, path: Path, silence: float) -> Exported:
    """What ONNX Runtime makes of a graph beside what torch does."""
    session = session_of(graph.SerializeToString())

    def compared(batch: int, frames: int) -> Difference:
        return between(session, part, part.example(batch, frames, silence))

    def agree(frames: int) -> bool:
        try:
            return compared(1, frames).share <= part.tolerance
        except Exception:  # too few for the graph, or for the module itself
            return False

    least = next((one for one in FEWEST if agree(one)), None)
    worst = max((compared(*sizes) for sizes in CHECKED), key=lambda found: found.share)
    if least is None or not worst.share <= part.tolerance:
        raise SelfRemasterError(f"{part.name}: {told(worst, part)}; nothing is written")
    return Exported(part.name, path, tuple(part.inputs), part.outputs, least, *worst)


def _with_notes(graph: Any, found: Exported, notes: Mapping[str, str]) -> bytes:
    """The file, with all that it takes to use it."""
    from onnx import helper

    own = {"part": found.part, "least_frames": str(found.least_frames)}
    helper.set_model_props(graph, {**notes, **own})
    graph.producer_name = "selfremaster"
    content: bytes = graph.SerializeToString()
    return content
