"""Modules of a model as ONNX graphs, and what ONNX Runtime makes of them beside torch."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Generator, Tensor, nn

from selfremaster.core.errors import SelfRemasterError, one_line
from selfremaster.core.interfaces import Analyzer, Features
from selfremaster.core.models import Model
from selfremaster.core.packages import require

EXTRA = "onnx"
PACKAGES = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-4  # of the largest number of an output
TRACED_FRAMES = 157  # no multiple of anything that networks divide by
BATCH, FRAMES = "batch", "frames"
LONGEST_REASON = 160  # characters
CPU_PROVIDER = "CPUExecutionProvider"
LEAST_LARGEST = 1e-6
SILENT = 4  # what fails is told by us


class CannotExportError(SelfRemasterError):
    """A module whose operations ONNX lacks, or that cannot be gone through with any frames."""


class Analysis(nn.Module):
    """The analysis module, its two outputs one behind the other."""

    def __init__(self, analyzer: Analyzer) -> None:
        super().__init__()
        self.analyzer = analyzer

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Clean speech features and channel features."""
        heard = self.analyzer(log_mel)
        return heard.features, heard.channel_features


class Prediction(nn.Module):
    """The analysis module, its clean speech features alone."""

    def __init__(self, analyzer: Analyzer) -> None:
        super().__init__()
        self.analyzer = analyzer

    def forward(self, log_mel: Tensor) -> tuple[Tensor]:
        """Clean speech features."""
        return (self.analyzer.predict(log_mel),)


class Synthesis(nn.Module):
    """The vocoder, without a degraded wave."""

    def __init__(self, vocoder: nn.Module) -> None:
        super().__init__()
        self.vocoder = vocoder

    def forward(self, features: Tensor) -> tuple[Tensor]:
        """The wave."""
        return (self.vocoder(features),)


class Whole(nn.Module):
    """What the analysis module hears, spoken; source rows come from elsewhere."""

    def __init__(self, analyzer: Analyzer, vocoder: nn.Module) -> None:
        super().__init__()
        self.analyzer = analyzer
        self.vocoder = vocoder

    def forward(self, log_mel: Tensor, *source: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Clean speech features, channel features and the wave."""
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
    tolerance: float = TOLERANCE  # that numbers may differ by, of the largest

    def example(self, batch: int, frames: int, silence: float) -> list[Tensor]:
        """Noise at levels of speech, the same each time."""
        generator = Generator().manual_seed(batch * frames)
        drawn = [
            torch.randn(batch, channels, frames, generator=generator)
            for channels in self.inputs.values()
        ]
        return [(2 * one - 5).clamp(min=silence) for one in drawn]


def analysis_of(analyzer: Analyzer, features: Features) -> Part:
    """The analysis module of a model."""
    module = Analysis(analyzer)
    title = f"the analysis module {type(analyzer).__name__}"
    given, made = {"log_mel": features.mel_bands}, ("features", "channel_features")
    return Part("analysis", title, module, lambda: module, given, made)


def prediction_of(analyzer: Analyzer, features: Features) -> Part:
    """The analysis module of a model, without what it hears of the sound of a recording."""
    module = Prediction(analyzer)
    return analysis_of(analyzer, features)._replace(
        name="prediction", module=module, portable=lambda: module, outputs=("features",)
    )


def synthesis_of(model: Model) -> Part:
    """The vocoder of a model, the one that it learned with."""
    vocoder = model.vocoder
    return Part(
        "synthesis",
        f"the vocoder {type(vocoder).__name__}",
        Synthesis(vocoder),
        lambda: Synthesis(vocoder.portable()),
        {"features": model.features.channels},
        ("wave",),
        vocoder.rounding,
    )


def graph_of(part: Part, silence: float) -> Any:
    """The part as a graph (a `ModelProto`) whose batch and frames are free."""
    if any(not list(network.parameters()) for network in part.module.children()):
        raise CannotExportError("is no network, but a calculation")
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
        raise CannotExportError(_reason(error)) from error
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


def session_of(
    graph: bytes, providers: Sequence[str] = (CPU_PROVIDER,), threads: int | None = None
) -> Any:
    """What runs a graph by ONNX Runtime, with so many threads; by default as it likes."""
    runtime = require("onnxruntime", EXTRA)
    options = runtime.SessionOptions()
    options.log_severity_level = SILENT
    if threads is not None:
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
    return runtime.InferenceSession(graph, options, providers=list(providers))


class Difference(NamedTuple):
    """How far two programs are apart, where that is most."""

    difference: float
    largest: float  # number of the output that differs so

    @property
    def share(self) -> float:
        """The one as a part of the other."""
        return self.difference / self.largest


def between(session: Any, part: Part, examples: Sequence[Tensor]) -> Difference:
    """How far what ONNX Runtime makes of a graph lies from what torch does, at most."""
    given = {name: one.cpu().numpy() for name, one in zip(part.inputs, examples, strict=True)}
    with torch.inference_mode():
        wanted = part.module(*examples)
    found = session.run(list(part.outputs), given)
    pairs = [_difference(*pair) for pair in zip(found, wanted, strict=True)]
    return max(pairs, key=lambda pair: pair.share)


def told(found: Difference, part: Part) -> str:
    """A difference that is too large, in words."""
    return (
        f"ONNX Runtime and torch differ by {found.difference:.2g} where the largest number is "
        f"{found.largest:.2g}, which is more than {part.tolerance:g} of it"
    )


def _difference(found: Any, wanted: Tensor) -> Difference:
    """How far two arrays are apart at most, and the largest number of the one that is wanted."""
    if found.shape != tuple(wanted.shape):
        return Difference(float("inf"), 1.0)
    wanted = wanted.cpu()
    apart = (torch.from_numpy(found) - wanted).abs().max()
    return Difference(
        float(apart.nan_to_num(float("inf"))), max(float(wanted.abs().max()), LEAST_LARGEST)
    )
