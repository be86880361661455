"""The report of an adaptation: what changed, to be read, seen and heard; one page, and Markdown."""

from pathlib import Path

from markupsafe import Markup

from selfremaster.benchmarks.reporting import words
from selfremaster.benchmarks.reporting.courses import draw
from selfremaster.benchmarks.reporting.pages import LARGEST_BYTES, TEMPLATES, templates
from selfremaster.benchmarks.reporting.reports import PAGE_NAME, TEXT_NAME
from selfremaster.benchmarks.reporting.sounds import Player, Store, tracks_of
from selfremaster.benchmarks.tables import markdown
from selfremaster.core.files import write_together
from selfremaster.registry.adapting import BY_LOSSES, Adapted
from selfremaster.registry.assembling import load
from selfremaster.registry.materials import judged_waves

RECORDING, BEFORE, AFTER = "recording", "model as it was", "adapted"
DECIMALS = 3


def write(adapted: Adapted, largest_bytes: int = LARGEST_BYTES) -> list[Path]:
    """Write ``report.html`` and ``report.md`` into the folder of the adaptation, together."""
    folder = adapted.prepared.wanted.output
    paths = [folder / PAGE_NAME, folder / TEXT_NAME]
    texts = (_page(adapted, largest_bytes), _text(adapted))
    with write_together(*paths) as temporaries:
        for path, text in zip(temporaries, texts, strict=True):
            path.write_text(text, encoding="utf-8", newline="\n")
    return paths


def _page(adapted: Adapted, largest_bytes: int) -> str:
    store = Store(largest_bytes)
    return (
        templates()
        .get_template("adaptation.html.j2")
        .render(
            style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),
            script=Markup((TEMPLATES / "page.js").read_text(encoding="utf-8")),
            survey=adapted.prepared.survey,
            notes=_notes(adapted),
            outcome=adapted.words(),
            rows=_rows(adapted),
            chart=draw(
                [(one.step, one.numbers["total"]) for one in adapted.course], adapted.best.step
            ),
            players=_players(adapted, store),
            sounds=store.sounds,
            command=adapted.next_command(),
        )
    )


def _text(adapted: Adapted) -> str:
    course = [
        [str(one.step), *(_number(one.numbers.get(name)) for name in adapted.start.numbers)]
        for one in adapted.course
    ]
    sections = [
        "# Adaptation",
        words.no_html(adapted.prepared.survey) + ".",
        *(f"- {words.no_html(note)}" for note in _notes(adapted)),
        words.no_html(adapted.words()) + ".",
        f"Sounds and the course of the criterion: [{PAGE_NAME}]({PAGE_NAME}).",
        "## Before and after",
        markdown(["number", BEFORE, AFTER], _rows(adapted)),
        "## Course",
        markdown(["step", *map(words.cell, adapted.start.numbers)], course),
        "## Next",
        words.fenced(adapted.next_command(), "sh"),
    ]
    return "\n\n".join(sections) + "\n"


def _notes(adapted: Adapted) -> list[str]:
    missing = [] if adapted.prepared.measured else [BY_LOSSES]
    return [*adapted.prepared.notes, *missing]


def _rows(adapted: Adapted) -> list[list[str]]:
    return [[name, _number(old), _number(new)] for name, old, new in adapted.numbers()]


def _number(value: float | None) -> str:
    return words.number(value, DECIMALS)


def _players(adapted: Adapted, store: Store) -> list[Player]:
    """The windows that the criterion listens to, before and after."""
    wanted = adapted.prepared.wanted
    waves = judged_waves(wanted.output, adapted.prepared.experiment.model.peak_db)
    models = {BEFORE: load(wanted.model), AFTER: load(adapted.result.bundle)}
    players = []
    rate = models[AFTER].sample_rate
    for number, wave in enumerate(waves, start=1):
        restored = {label: model.restore(wave, rate) for label, model in models.items()}
        heard = {RECORDING: wave, **restored}
        roles = {RECORDING: "floor"}
        tracks = tracks_of(heard, rate, roles, {}, store)
        if tracks is not None:
            seconds = len(wave) / rate
            title = f"Window {number}"
            name = f"player-{number}"
            players.append(Player(name, title, "", (), seconds, rate / 2000, tracks))
    return players
