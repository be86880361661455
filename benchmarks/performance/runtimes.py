"""How fast modules run that were exported, beside torch."""

import sys
from typing import Any, NamedTuple

import torch

from selfremaster.benchmarks.performance.comparing import Options, Section, ratio
from selfremaster.benchmarks.performance.sizes import drawn
from selfremaster.benchmarks.tables import markdown
from selfremaster.benchmarks.timing import apart, median_seconds
from selfremaster.core.errors import SelfRemasterError
from selfremaster.core.exporting import parts_of
from selfremaster.core.graphs import EXTRA, Part, graph_of
from selfremaster.core.packages import require
from selfremaster.core.precisions import computing

CPU = torch.device("cpu")
MODULES = {  # part, and the model that it is taken from
    "unet2d:preset=paper": ("analysis", {"analyzer": "unet2d:preset=paper"}),
    "convnext:preset=base": ("analysis", {"analyzer": "convnext:preset=base"}),
    "hifigan:preset=v1": ("synthesis", {"vocoder": "hifigan:preset=v1"}),
    "hifigan:preset=v3": ("synthesis", {"vocoder": "hifigan:preset=v3"}),
}
REST = {"features": "mel", "analyzer": "convnext:preset=tiny", "vocoder": "istft:preset=tiny"}


class Speed(NamedTuple):
    """Seconds of work for each second of sound."""

    module: str
    runtime: float
    torch: float
    torch_bf16: float


def measure(options: Options) -> Section:
    """The table of modules; without the packages of the extra it has no rows."""
    rows = []
    for module in MODULES:
        try:
            speed = apart(speed_of, module, options)
        except SelfRemasterError as error:
            print(f"left out: {module}: {error}", file=sys.stderr)
            continue
        rows.append(
            [
                module,
                *(f"{one:.4f}" for one in speed[1:]),
                ratio(speed.runtime, speed.torch),
            ]
        )
    heading = ["module", "ONNX Runtime", "torch, fp32", "torch, bf16", "times as fast, fp32"]
    about = (
        f"Seconds of work for each second of sound, {options.seconds:g} s at a time: what "
        "`export` writes, by ONNX Runtime on one thread, and the same module as it restores."
    )
    return Section("Exported modules", about, markdown(heading, rows))


def speed_of(module: str, options: Options) -> Speed:
    """Time a module in three ways, in turns."""
    runtime = require("onnxruntime", EXTRA)
    part, silence, frames = part_of(module, options.seconds)
    settings = runtime.SessionOptions()
    settings.intra_op_num_threads = 1
    session: Any = runtime.InferenceSession(
        graph_of(part, silence).SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    examples = part.example(1, frames, silence)
    given = {name: one.numpy() for name, one in zip(part.inputs, examples, strict=True)}

    def by_torch(bfloat16: bool) -> None:
        with torch.inference_mode(), computing("bf16" if bfloat16 else "fp32", CPU):
            part.module(*examples)

    taken = median_seconds(
        [lambda: session.run(None, given), lambda: by_torch(False), lambda: by_torch(True)],
        options.repeats,
        options.least_seconds,
    )
    return Speed(module, *(seconds / options.seconds for seconds in taken))


def part_of(module: str, seconds: float) -> tuple[Part, float, int]:
    """A module as it is exported, the log-mel of silence, and how many frames it is given."""
    name, given = MODULES[module]
    model = drawn({**REST, **given})
    (part,) = (
        part
        for alternatives in parts_of(model, single=False)
        for part in alternatives
        if part.name == name
    )
    return part, model.features.silence, model.features.frames(round(seconds * model.sample_rate))
