"""Batches whose recordings or results may lie in stores, and their records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from selfremaster.commands.batches import folder_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from selfremaster.core.ledgers import Ledger, Work
    from selfremaster.core.remote_ledgers import RemoteLedger
    from selfremaster.core.remote_plans import Plan
    from selfremaster.core.remotes import Place

    AnyLedger = Ledger | RemoteLedger


def plan_batch(
    inputs: Sequence[Place],
    output: str,
    others: Mapping[str, Path | str | None],
    *,
    overwrite: bool,
    resume: bool,
    beside: Sequence[str],
    suffix: str | None,
    include: Sequence[str],
    exclude: Sequence[str],
) -> Plan:
    """What is to be done; ``others`` are options that take files of this machine, and go with them.

    Raises `SelfRemasterError`.
    """
    from selfremaster.core import jobs, remote_plans
    from selfremaster.core.errors import RemoteError
    from selfremaster.core.remotes import is_url
    from selfremaster.core.scratch import clear_scratch

    for option, value in others.items():
        if value is not None and is_url(str(value)):
            raise RemoteError(f"{option}: takes no URL; copy what it names here")
    here = [path for path in inputs if isinstance(path, Path)]
    if len(here) == len(inputs) and not is_url(output):
        again = overwrite or resume
        refused: list[jobs.Failure] = []
        planned = jobs.plan(
            here,
            output,
            overwrite=again,
            beside=beside,
            suffix=suffix,
            include=include,
            exclude=exclude,
            refused=refused,
        )
        folder = folder_of(here, output, planned)
        left = jobs.left_alone(here, output, include, exclude)
        return remote_plans.Plan(list(planned), refused, folder, {}, [], left)
    for option, value in others.items():
        if value is not None:
            raise RemoteError(
                f"{option}: goes with files of this machine alone, not with URLs; leave it out, or "
                "copy the recordings here"
            )
    clear_scratch()
    return remote_plans.plan(
        inputs,
        output,
        overwrite=overwrite,
        resume=resume,
        beside=beside,
        suffix=suffix,
        include=include,
        exclude=exclude,
    )


def ledger_of(plan: Plan, output: str, work: Work) -> AnyLedger:
    """The record of the results, or what would be one where one file goes to one file."""
    from selfremaster.core.ledgers import Ledger
    from selfremaster.core.remote_ledgers import RemoteLedger
    from selfremaster.core.remotes import Remote, parse

    folder = plan.folder
    if folder is None:
        folder = parse(output).parent
    if isinstance(folder, Remote):
        return RemoteLedger(folder, work, plan.there)
    return Ledger(folder, work)
