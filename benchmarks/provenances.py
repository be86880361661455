"""Where the numbers of a benchmark are from: versions, parts, speech and machine."""

import hashlib
import platform
from datetime import UTC, datetime
from typing import Any

import torch

from selfremaster.benchmarks.addresses import (
    address_of,
    is_loadable,
    model_content,
    package_version,
    versions_of,
)
from selfremaster.benchmarks.machines import machine
from selfremaster.benchmarks.metering import note_of
from selfremaster.benchmarks.planning import Plan
from selfremaster.benchmarks.records import Provenance
from selfremaster.core.bundles import versions
from selfremaster.registry.building import component_class, configure, current
from selfremaster.registry.tables import BUILTIN

PACKAGES = ("torch", "numpy", "scipy", "soundfile", "soxr")


def provenance_of(plan: Plan, grid_text: str, command: str) -> Provenance:
    """What is known before anything is run."""
    notes = [note_of(meter) for meter in plan.meters]
    packages = {name: package_version(name) for name in PACKAGES}
    for note in notes:
        packages |= {name: number or "not installed" for name, number in note.packages.items()}
    return Provenance(
        selfremaster=versions()["selfremaster"],
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        python=platform.python_version(),
        packages={**packages, "torch": str(torch.__version__)},
        plugins={name: number for name, number in plan.owners.items() if name != BUILTIN},
        machine=machine(),
        command=command,
        grid_sha256=hashlib.sha256(grid_text.encode()).hexdigest(),
        corpora={
            name: {**corpus.summary, "sha256": address_of([one.content() for one in corpus.pieces])}
            for name, corpus in plan.corpora.items()
        },
        restorers=_restorers(plan),
        metrics=notes,
        exclusions=plan.exclusions,
    )


def _restorers(plan: Plan) -> dict[str, dict[str, Any]]:
    """Of each restorer its part, owner, packages and model, and whether it is told the original.

    Of a part that cannot be loaded nobody knows what it is told.
    """
    told: dict[str, dict[str, Any]] = {}
    for cell in plan.cells:
        label = cell.place.restorer
        if label in told:
            continue
        asked = plan.grid.restorers[label]
        entry = current().table.find("restorer", asked.name)
        note: dict[str, Any] = {"part": str(asked), "owner": str(entry.owner), "told": None}
        if is_loadable("restorer", asked):
            found: Any = component_class("restorer", asked.name)
            note["told"] = bool(found.needs_reference)
            if packages := versions_of("restorer", asked.name):
                note["packages"] = ", ".join(
                    f"{name} {number or 'not installed'}" for name, number in packages.items()
                )
            model = getattr(configure("restorer", cell.restorer), "model", None)
            known = model_content(model, {})
            if not cell.needs and known is not None and known != model:
                note["model_sha256"] = known
        told[label] = note
    return told
