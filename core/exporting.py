"""Models for other programs: their modules as ONNX files, checked number by number."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from selfremaster.core.errors import ComponentError, SelfRemasterError, one_line
from selfremaster.core.files import write_together
from selfremaster.core.interfaces import Analyzer, Features
from selfremaster.core.models import Model
from selfremaster.core.packages import require

EXTRA = "onnx"
SUFFIX = ".onnx"
TOLERANCE = 1e-4  # of the largest number of an output
TRACED_FRAMES = 157  # no multiple of anything that networks divide by
CHECKED = ((2, 71), (1, 257))  # batches and frames besides the fewest frames
FEWEST = (1, 2, 4, 8, 16, 32, 64)  # frames that are tried
BATCH, FRAMES = "batch", "frames"
LONGEST_REASON = 160  # characters


class _Analysis(nn.Module):
    """The analysis module, its two outputs one behind the other."""

    def __init__(self, analyzer: Analyzer) -> None:
        super().__init__()
        self.analyzer = analyzer

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        heard = self.analyzer(log_mel)
        return heard.features, heard.channel_features


class _Prediction(_Analysis):
    """The analysis module, its clean speech features alone."""

    def forward(self, log_mel: Tensor) -> tuple[Tensor]:  # type: ignore[override]  # one is enough
        return (self.analyzer.predict(log_mel),)


class _Synthesis(nn.Module):
    """The vocoder, without a degraded wave."""

    def __init__(self, vocoder: nn.Module) -> None:
        super().__init__()
        self.vocoder = vocoder

    def forward(self, features: Tensor) -> tuple[Tensor]:
        return (self.vocoder(features),)


class _Whole(nn.Module):
    """What the analysis module hears, spoken; source rows come from elsewhere."""

    def __init__(self, analyzer: Analyzer, vocoder: nn.Module) -> None:
        super().__init__()
        self.analyzer = analyzer
        self.vocoder = vocoder

    def forward(self, log_mel: Tensor, *source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        heard = self.analyzer(log_mel)
        speech = torch.cat([*source, heard.features], dim=1)
        return heard.features, heard.channel_features, self.vocoder(speech)


class Part(NamedTuple):
    """A graph to be: what it computes, and how its inputs (batch, channels, frames) are called.

    ``portable`` makes what computes the same by operations that other programs have.
    """

    name: str
    title: str
    module: nn.Module
    portable: Callable[[], nn.Module]
    inputs: Mapping[str, int]  # their channels
    outputs: tuple[str, ...]

    def example(self, batch: int, frames: int, silence: float) -> list[Tensor]:
        """Noise at levels of speech, the same each time."""
        generator = Generator().manual_seed(batch * frames)
        drawn = [
            torch.randn(batch, channels, frames, generator=generator)
            for channels in self.inputs.values()
        ]
        return [(2 * one - 5).clamp(min=silence) for one in drawn]


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


class _CannotError(Exception):
    """A module whose operations ONNX lacks, or that cannot be gone through with any frames."""


def export(model: Model, output: Path, notes: Mapping[str, str]) -> Export:
    """Write a model's modules as ONNX, whole or not at all.

    A path that ends in ``.onnx`` gets the model as one graph, from the log-mel (and the source
    rows, where the features have any) to the wave, or the analysis module alone where the vocoder
    cannot be exported; any other path is a folder, which gets ``analysis.onnx`` and
    ``synthesis.onnx``. Batch and frames are free. Each file carries the ``notes``, and is run by
    ONNX Runtime beside torch at three lengths before anything is written.

    Raises `ComponentError` where a package is missing, or nothing of the model can be exported;
    `SelfRemasterError` where the numbers differ by more than `TOLERANCE` of the largest.
    """
    for package in ("onnx", "onnxscript", "onnxruntime"):
        require(package, EXTRA)
    single = output.suffix == SUFFIX
    contents, files, left_out = [], [], []
    for alternatives in parts_of(model, single):
        for part in alternatives:
            try:
                graph = graph_of(part, model.features.silence)
            except _CannotError as error:
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
        _Whole(hearing, vocoder),
        lambda: _Whole(hearing, vocoder.portable()),
        {**analysis.inputs, **source},
        (*analysis.outputs, "wave"),
    )
    return [[whole, analysis]]


def analysis_of(analyzer: Analyzer, features: Features) -> Part:
    """The analysis module of a model."""
    module = _Analysis(analyzer)
    title = f"the analysis module {type(analyzer).__name__}"
    given, made = {"log_mel": features.mel_bands}, ("features", "channel_features")
    return Part("analysis", title, module, lambda: module, given, made)


def prediction_of(analyzer: Analyzer, features: Features) -> Part:
    """The analysis module of a model, without what it hears of the sound of a recording."""
    module = _Prediction(analyzer)
    return analysis_of(analyzer, features)._replace(
        name="prediction", module=module, portable=lambda: module, outputs=("features",)
    )


def synthesis_of(model: Model) -> Part:
    """The vocoder of a model, the one that it learned with."""
    vocoder = model.vocoder
    return Part(
        "synthesis",
        f"the vocoder {type(vocoder).__name__}",
        _Synthesis(vocoder),
        lambda: _Synthesis(vocoder.portable()),
        {"features": model.features.channels},
        ("wave",),
    )


def graph_of(part: Part, silence: float) -> Any:
    """The part as a graph (a `ModelProto`) whose batch and frames are free."""
    if any(not list(network.parameters()) for network in part.module.children()):
        raise _CannotError("is no network, but a calculation")
    examples = part.example(2, TRACED_FRAMES, silence)
    free = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC}
    given = tuple({**free} for _ in examples)
    # what takes any number of inputs is told of them in one
    shapes = given if len(given) == 1 else (given[0], given[1:])
    try:
        with _hushed(), torch.no_grad():
            module = part.portable()
            module(*examples)  # what is made once for all is made before
            program = torch.onnx.export(
                module,
                tuple(examples),
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                dynamic_shapes=shapes,
                dynamo=True,
                verbose=False,
            )
            graph = program.model_proto if program is not None else None
    except Exception as error:  # whatever stands in the way of a graph is told, and nothing else
        raise _CannotError(_reason(error)) from error
    _name_dimensions(graph)
    return graph


def _reason(error: BaseException) -> str:
    """What stood in the way at first, in short."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    missing = re.search(r"No ONNX function found for .*?op='([\w.]+)'", str(error))
    if missing:
        return f"ONNX lacks the operation {missing.group(1)}"
    words = f"{type(error).__name__}: {' '.join(lines[0].split())}" if lines else one_line(error)
    return words if len(words) <= LONGEST_REASON else f"{words[:LONGEST_REASON]} ..."


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep what the exporter tells its own developers from the user."""
    logger = logging.getLogger("torch")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _name_dimensions(graph: Any) -> None:
    """Call the free dimensions by what they are, instead of by the exporter's symbols."""
    first = graph.graph.input[0].type.tensor_type.shape.dim
    names = {first[0].dim_param: BATCH, first[2].dim_param: FRAMES}
    for value in (*graph.graph.input, *graph.graph.output, *graph.graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.HasField("dim_param"):
                known = re.sub(
                    r"\w+", lambda found: names.get(found[0], found[0]), dimension.dim_param
                )
                dimension.dim_param = known


def _checked(graph: Any, part: Part, path: Path, silence: float) -> Exported:
    """What ONNX Runtime makes of a graph beside what torch does."""
    runtime = require("onnxruntime", EXTRA)
    options = runtime.SessionOptions()
    options.log_severity_level = 4  # what fails is told by us
    session = runtime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

    def compared(batch: int, frames: int) -> tuple[float, float]:
        examples = part.example(batch, frames, silence)
        given = {name: one.numpy() for name, one in zip(part.inputs, examples, strict=True)}
        with torch.inference_mode():
            wanted = part.module(*examples)
        found = session.run(list(part.outputs), given)
        pairs = [_difference(*pair) for pair in zip(found, wanted, strict=True)]
        return max(pairs, key=lambda pair: pair[0] / pair[1])

    least = next((one for one in FEWEST if _agree(compared, one)), None)
    worst = max((compared(*sizes) for sizes in CHECKED), key=lambda pair: pair[0] / pair[1])
    if least is None or not worst[0] <= TOLERANCE * worst[1]:
        raise SelfRemasterError(
            f"{part.name}: ONNX Runtime and torch differ by {worst[0]:.2g} where the largest "
            f"number is {worst[1]:.2g}, which is more than {TOLERANCE:g} of it; nothing is written"
        )
    return Exported(part.name, path, tuple(part.inputs), part.outputs, least, *worst)


def _agree(compared: Any, frames: int) -> bool:
    """Whether both give the same at so few frames, and give anything."""
    try:
        difference, largest = compared(1, frames)
    except Exception:  # too few for the graph, or for the module itself
        return False
    return bool(difference <= TOLERANCE * largest)


def _difference(found: Any, wanted: Tensor) -> tuple[float, float]:
    """How far two arrays are apart at most, and the largest number of the one that is wanted."""
    if found.shape != tuple(wanted.shape):
        return float("inf"), 1.0
    apart = (torch.from_numpy(found) - wanted).abs().max()
    return float(apart.nan_to_num(float("inf"))), max(float(wanted.abs().max()), 1e-6)


def _with_notes(graph: Any, found: Exported, notes: Mapping[str, str]) -> bytes:
    """The file, with all that it takes to use it."""
    from onnx import helper

    own = {"part": found.part, "least_frames": str(found.least_frames)}
    helper.set_model_props(graph, {**notes, **own})
    graph.producer_name = "selfremaster"
    content: bytes = graph.SerializeToString()
    return content
