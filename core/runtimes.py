"""What the networks of a model are run by: torch, torch compiled, or ONNX Runtime."""

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from selfremaster.core import graph_caches
from selfremaster.core.errors import STOPS, ComponentError, one_line
from selfremaster.core.graphs import (
    CPU_PROVIDER,
    EXTRA,
    PACKAGES,
    Difference,
    Part,
    between,
    graph_of,
    prediction_of,
    session_of,
    synthesis_of,
    told,
)
from selfremaster.core.interfaces import Component
from selfremaster.core.models import Model
from selfremaster.core.packages import require

RUNTIMES = ("torch", "compile", "onnx")
CUDA_PROVIDER = "CUDAExecutionProvider"
TRIED = ((1, 71), (1, 257))  # batches and frames that a runner is tried with
CHECKED_FRAMES = 256  # of the first piece, that torch is asked about, too
ADVICE = "give --runtime torch"


class Work(NamedTuple):
    """A network of a model that another runtime may run."""

    role: str  # analyzer or vocoder
    part: Part
    component: Component


class OnnxRunner:
    """Runs a part by ONNX Runtime, and compares the beginning of the first piece with torch.

    The weights are those that the part had when this was made. Raises `ComponentError` where the
    numbers of the first piece differ by more than the part allows.

    Shape: as the part, which has one input and one output.
    """

    def __init__(self, part: Part, session: Any) -> None:
        self.part = part
        self.session = session
        self.compared = False

    def __call__(self, given: Tensor, *unused: Tensor) -> Tensor:
        """What the part makes of it."""
        if not self.compared:
            self._compare(given[..., :CHECKED_FRAMES])
            self.compared = True
        (name,) = self.part.inputs
        inputs = {name: given.float().cpu().contiguous().numpy()}
        (found,) = self.session.run(list(self.part.outputs), inputs)
        return torch.from_numpy(found).to(given)

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnnxRunner":
        return self  # a session cannot be copied, and keeps nothing of what it has run

    def _compare(self, beginning: Tensor) -> None:
        found = between(self.session, self.part, [beginning.contiguous()])
        if not found.share <= self.part.tolerance:
            raise _cannot("onnx", self.part, told(found, self.part))


class CompiledRunner:
    """Runs a part as torch compiles it, for any number of frames.

    Shape: as the part, which has one input and one output.
    """

    def __init__(self, part: Part) -> None:
        self.part = part
        self.work = torch.compile(part.module, dynamic=True)

    def __call__(self, given: Tensor, *unused: Tensor) -> Tensor:
        """What the part makes of it."""
        (found,) = self.work(given)
        made: Tensor = found
        return made

    def __deepcopy__(self, memo: dict[int, Any]) -> "CompiledRunner":
        return self  # what is compiled cannot be copied


def run_by(model: Model, runtime: str) -> str:
    """Let a runtime run the networks of a model from now on; gives what was done, in one line.

    Those are the analysis module, without its channel features, and the vocoder that the model
    learned with, where it is heard; the weights are those of now. All else is torch's. What
    ``onnx`` makes is kept under `graph_caches.cache_folder`, and compared with torch.

    Raises `ComponentError` for another word, for what does not go together, and for a part that
    the runtime cannot run, by its name.
    """
    if runtime not in RUNTIMES:
        raise ComponentError(f"runtime {runtime!r}; give one of {', '.join(RUNTIMES)}")
    model.runners = {}
    if runtime == "torch":
        return "runtime torch"
    if runtime == "onnx" and model.precision != "fp32":
        raise ComponentError(
            f"runtime onnx computes in fp32, not in {model.precision}; give --precision fp32, or "
            "--runtime torch or compile"
        )
    begun = time.monotonic()
    works = works_of(model)
    silence = model.features.silence
    make: Callable[[Model, Work, float], tuple[Callable[..., Tensor], str]]
    make = _by_onnx if runtime == "onnx" else _compiled
    runners: dict[str, Callable[..., Tensor]] = {}
    notes = []
    for work in works:
        runners[work.role], note = make(model, work, silence)
        notes.append(f"{work.part.title} ({note})")
    model.runners = runners
    what = " and ".join(notes) or "no network to run"
    return f"runtime {runtime}: {what}, ready after {time.monotonic() - begun:.0f} s"


def works_of(model: Model) -> list[Work]:
    """The networks that restoring is slow by; calculations without weights are none."""
    works = []
    if model.analyzer is not None:
        part = prediction_of(model.analyzer, model.features)
        works.append(Work("analyzer", part, model.analyzer))
    if model.output is None or model.output.needs_filling:
        works.append(Work("vocoder", synthesis_of(model), model.vocoder))
    return [work for work in works if list(work.part.module.parameters())]


def providers_on(device: torch.device, available: list[str]) -> list[str]:
    """What ONNX Runtime computes by: the graphics card where the model is there and it can.

    >>> providers_on(torch.device("cuda"), ["CPUExecutionProvider"])
    ['CPUExecutionProvider']
    """
    if device.type == "cuda" and CUDA_PROVIDER in available:
        return [CUDA_PROVIDER, CPU_PROVIDER]
    return [CPU_PROVIDER]


def _by_onnx(model: Model, work: Work, silence: float) -> tuple[OnnxRunner, str]:
    """A runner whose graph was kept or is made now, which is told."""
    for package in PACKAGES:
        require(package, EXTRA)
    part = work.part
    available = require("onnxruntime", EXTRA).get_available_providers()
    providers = providers_on(model.device, available)
    examples = part.example(*TRIED[0], silence)
    examples = [one.to(model.device) for one in examples]
    sessions: list[Any] = []

    def open_session(graph: bytes) -> Difference:
        sessions[:] = [session_of(graph, providers, torch.get_num_threads())]
        return between(sessions[0], part, examples)

    def usable(graph: bytes) -> bool:
        try:
            return open_session(graph).share <= part.tolerance
        except STOPS:
            raise
        except Exception:  # whatever a damaged graph makes of it
            return False

    def make() -> bytes:
        try:
            graph: bytes = graph_of(part, silence).SerializeToString()
            found = open_session(graph)
        except STOPS:
            raise
        except Exception as error:
            raise _cannot("onnx", part, _first_line(error)) from error
        if not found.share <= part.tolerance:
            raise _cannot("onnx", part, told(found, part))
        return graph

    place = graph_caches.place_of(part, work.component, model.features)
    weights = sum(tensor.nbytes for tensor in part.module.parameters())
    _, new = graph_caches.kept_or_made(place, weights, usable, make)
    where = "" if model.device.type in providers[0].lower() else f", not on {model.device.type}"
    return OnnxRunner(part, sessions[0]), f"graph {'made' if new else 'kept before'}{where}"


def _compiled(model: Model, work: Work, silence: float) -> tuple[CompiledRunner, str]:
    """A runner that has met two lengths, so that it takes any."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # tells of no CUDA
    runner = CompiledRunner(work.part)
    tried = model.inferring(runner)
    try:
        for sizes in TRIED:
            (example,) = work.part.example(*sizes, silence)
            tried(example.to(model.device))
    except STOPS:
        raise
    except Exception as error:  # of many classes, by what is missing
        raise _cannot("compile", work.part, _first_line(error)) from error
    return runner, "compiled"


def _cannot(runtime: str, part: Part, why: str) -> ComponentError:
    """What to raise for a part that a runtime cannot run."""
    return ComponentError(f"runtime {runtime}: {part.title}: {why}; {ADVICE}")


def _first_line(error: Exception) -> str:
    """What stood in the way, without what torch tells its developers."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[0].split()) if lines else one_line(error)
