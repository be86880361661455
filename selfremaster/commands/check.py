"""`selfremaster check`: does a part, a plugin or a bundle keep what it promises?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import typer

from selfremaster.commands.options import Json, Quiet, Without
from selfremaster.commands.terminal import note, progress, say_json, say_table

if TYPE_CHECKING:
    from selfremaster.core.components import ComponentSpec
    from selfremaster.core.models import Model

ALL = "all"
TRIED_SECONDS = 1.0


class Finding(NamedTuple):
    """One promise of a part or bundle: kept, broken, or not to be tried here."""

    subject: str
    promise: str
    state: Literal["kept", "broken", "skipped"]
    input: str = ""
    reason: str = ""


def check(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="KIND/NAME[:settings], KIND, all, a plugin, a bundle's file, or hf://org/name.",
        ),
    ],
    without: Without = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Try whether parts keep their promises.

    Of a bundle: whether it is whole, can be loaded, and makes sound of sound.
    """
    subjects = _subjects(target)
    findings: list[Finding] = []
    with progress(quiet, "checking", len(subjects)) as bar:
        for number, (kind, name) in enumerate(subjects, start=1):
            bar.at(number - 1, f"{kind}/{name}")
            findings += check_bundle(name) if kind == "bundle" else check_part(kind, name)
    findings += _problems_of(target)
    if as_json:
        say_json([finding._asdict() for finding in findings])
    elif not quiet:
        _show(findings, every=len(subjects) == 1)
    broken = sum(finding.state == "broken" for finding in findings)
    if broken:
        note(f"error: {broken} of {len(findings)} promises are broken")
        raise typer.Exit(2)


def _subjects(target: str) -> list[tuple[str, str]]:
    """What there is to check, as kind and part, or "bundle" and file."""
    from selfremaster.core.components import KINDS, hint
    from selfremaster.core.errors import ComponentError
    from selfremaster.registry.assembling import builtin_bundles
    from selfremaster.registry.building import current
    from selfremaster.registry.hub import PREFIX
    from selfremaster.registry.tables import check_kind

    loaded = current()
    if target == ALL or target in KINDS:
        entries = list(loaded.table.entries(None if target == ALL else target))
        return [(entry.kind, _small(entry.kind, entry.name)) for entry in entries]
    kind, slash, spec = target.partition("/")
    if slash and kind in KINDS:
        return [(kind, spec)]
    if Path(target).exists() or target in builtin_bundles() or target.startswith(PREFIX):
        return [("bundle", target)]
    plugins = {owner.name for owner in loaded.owners} | {item.plugin for item in loaded.problems}
    if target in plugins:
        entries = [entry for entry in loaded.table.entries() if entry.owner.name == target]
        return [(entry.kind, _small(entry.kind, entry.name)) for entry in entries]
    if slash and not target.endswith(".safetensors"):
        check_kind(kind)
    known = [ALL, *KINDS, *plugins, *builtin_bundles()]
    raise ComponentError(
        f"nothing to check named {target!r}, and no such file{hint(target, known)}; "
        "or KIND/NAME, or a bundle"
    )


def _small(kind: str, name: str) -> str:
    from selfremaster.core.errors import ComponentError
    from selfremaster.registry.building import smallest

    try:
        return str(smallest(kind, name))
    except ComponentError:  # told when the part is checked
        return name


def _wanting(kind: str, spec: ComponentSpec) -> list[str]:
    """The settings that a part cannot do without, where none at all are given."""
    from selfremaster.registry.building import component_class

    if spec.settings:
        return []
    fields = component_class(kind, spec.name).Config.model_fields
    return [name for name, field in fields.items() if field.is_required()]


def _problems_of(target: str) -> Iterator[Finding]:
    """What went wrong when a plugin, or each of them, was loaded."""
    from selfremaster.registry.building import current

    for plugin, reason in current().problems:
        if target in (ALL, plugin):
            yield Finding(plugin, "can be loaded", "broken", reason=reason)


def check_part(kind: str, spec: str) -> list[Finding]:
    """Try every promise of its kind on a part."""
    from selfremaster.core import promises
    from selfremaster.core.components import ComponentSpec
    from selfremaster.core.errors import BundleError, ComponentError
    from selfremaster.registry.building import component_class, configure

    subject = f"{kind}/{spec}"
    parsed = ComponentSpec.parse(spec)
    try:
        component_class(kind, parsed.name)
    except ComponentError as error:
        if error.__cause__ is None and not _declared(kind, parsed.name):
            raise
        return [Finding(subject, "can be imported", "broken", reason=str(error))]
    wanting = _wanting(kind, parsed)
    if wanting:
        words = f"needs settings: {', '.join(wanting)}"
        return [Finding(subject, "can be built", "skipped", reason=words)]
    configure(kind, parsed)
    try:
        part, context = _build(kind, parsed)
    except BundleError as error:
        return [Finding(subject, "can be built", "skipped", reason=f"needs a model: {error}")]
    except ComponentError as error:
        missing = missing_package(error)
        state: Literal["skipped", "broken"] = "skipped" if missing else "broken"
        return [Finding(subject, "can be built", state, reason=str(error))]
    return [
        Finding(
            subject,
            result.promise.replace("_", " "),
            "kept" if result.kept else "broken",
            result.input,
            result.reason,
        )
        for result in promises.run(kind, part, context)
    ]


def _declared(kind: str, name: str) -> bool:
    from selfremaster.registry.building import current

    return name in current().table.names(kind)


def _build(kind: str, spec: Any) -> tuple[Any, Any]:
    """A part, and what it is to be tried with: the features that it can be built for."""
    from selfremaster.core.errors import BundleError, ComponentError
    from selfremaster.core.promises import Context
    from selfremaster.registry.building import DEFAULT_FEATURES, build, current

    if kind not in {"analyzer", "vocoder"}:
        return build(kind, spec), Context()
    names = current().table.names("features")
    first: ComponentError | None = None
    for name in sorted(names, key=lambda name: name != DEFAULT_FEATURES):
        try:
            features = build("features", name)
            return build(kind, spec, features=features), Context(features=features)
        except BundleError:
            raise
        except ComponentError as error:
            first = first or error
    raise first or ComponentError("there are no features to build it for")


def missing_package(error: BaseException) -> str:
    """The package whose absence is behind an error, if it is."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ModuleNotFoundError) and seen.name:
            return seen.name
        seen = seen.__cause__ or seen.__context__
    return ""


def check_bundle(reference: str) -> list[Finding]:
    """Whether a bundle is whole, can be loaded, and makes sound of sound."""
    from selfremaster.core.errors import SelfRemasterError, one_line
    from selfremaster.registry.assembling import find_bundle, load

    steps = (
        ("is whole", lambda: find_bundle(reference)),
        ("can be loaded", lambda: load(reference)),
        ("makes sound of sound", lambda: _try(load(reference))),
    )
    findings: list[Finding] = []
    for promise, step in steps:
        try:
            step()
        except SelfRemasterError as error:
            return [*findings, Finding(reference, promise, "broken", reason=str(error))]
        except Exception as error:
            return [*findings, Finding(reference, promise, "broken", reason=one_line(error))]
        findings.append(Finding(reference, promise, "kept"))
    return findings


def _try(model: Model) -> None:
    """Restore a second of noise, or speak it again with a model that is a vocoder alone."""
    import torch

    from selfremaster.core.errors import BundleError

    samples = round(TRIED_SECONDS * model.sample_rate)
    wave = 0.1 * torch.randn(1, samples, generator=torch.Generator().manual_seed(0))
    work = model.restore if model.analyzer is not None else model.copy_synthesis
    made = work(wave, model.sample_rate)
    if made.shape != wave.shape:
        raise BundleError(f"{samples} samples come back as {tuple(made.shape)}")
    if not bool(torch.isfinite(made).all()):
        raise BundleError("what comes back are no finite numbers")


def _show(findings: list[Finding], *, every: bool) -> None:
    """Every promise of a single subject; of several, a line each and what is not kept."""
    rows = []
    for subject in dict.fromkeys(finding.subject for finding in findings):
        own = [finding for finding in findings if finding.subject == subject]
        kept = sum(finding.state == "kept" for finding in own)
        if not every and kept:
            rows.append([subject, f"{len(own)} promises", f"{kept} kept", ""])
        for finding in own:
            if every or finding.state != "kept":
                where = f"on {finding.input}: " if finding.input else ""
                rows.append([subject, finding.promise, finding.state, where + finding.reason])
    say_table(["what", "promise", "result", "why"], rows)
