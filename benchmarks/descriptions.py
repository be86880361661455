"""What a report says of models, settings and the machine, as Markdown."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from selfremaster.benchmarks.tables import NOTHING, markdown
from selfremaster.core.bundles import Bundle, versions
from selfremaster.core.components import ComponentSpec
from selfremaster.registry.building import configure

PACKAGES = ("numpy", "scipy", "soxr", "pesq", "pystoi")
MILLION = 1_000_000
HASH_DIGITS = 12


def modules(bundle: Bundle) -> str:
    """The parts of a model and how many numbers each of them holds."""
    sizes: dict[str, int] = {}
    for name, tensor in bundle.tensors.items():
        module = name.partition(".")[0]
        sizes[module] = sizes.get(module, 0) + tensor.numel()
    lines = []
    for kind in ("features", "analyzer", "vocoder", "channel", "output"):
        part: ComponentSpec | None = getattr(bundle.experiment.model, kind)
        if part is not None:
            millions = f"{sizes[kind] / MILLION:.2f} million numbers" if kind in sizes else ""
            lines.append(f"- {kind}: `{part.name}`, {millions or 'no weights'}")
    return "\n".join(lines)


def training(bundles: Sequence[Bundle]) -> str:
    """A table of the runs that made these bundles: what was learned, and for how long."""
    rows = []
    for bundle in bundles:
        notes = bundle.header.get("training") or {}
        rows.append(
            [
                bundle.experiment.name,
                bundle.experiment.objective.name,
                str(notes.get("steps", NOTHING)),
                str(notes.get("minutes", NOTHING)),
                f"`{str(bundle.header.get('sha256', ''))[:HASH_DIGITS]}`",
            ]
        )
    return markdown(["run", "objective", "steps", "minutes trained", "SHA-256"], rows)


def settings_of(kind: str, specs: Sequence[str]) -> str:
    """A list of parts with all their settings, defaults included.

    >>> print(settings_of("metric", ["pesq", "si-sdr"]))
    - `pesq`
    - `si-sdr`: limit_db 100.0
    """
    lines = []
    for text in specs:
        config = configure(kind, text).model_dump(mode="json")
        chosen = ", ".join(f"{name} {value}" for name, value in config.items())
        lines.append(f"- `{text}`" + (f": {chosen}" if chosen else ""))
    return "\n".join(lines)


def made_by(bundle: Bundle) -> str:
    """The versions that measured, and those that made the bundle."""
    found = versions()
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    made = _listed(bundle.header.get("versions") or {})
    return f"Measured by {_listed(found)}. The bundle was made by {made}."


def _listed(found: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.items()) or "unknown versions"


def processor() -> str:
    """What the processor calls itself."""
    described = Path("/proc/cpuinfo")
    if described.is_file():
        for line in described.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
