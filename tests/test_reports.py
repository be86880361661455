"""Reports of benchmarks: what is in them, and that nothing keeps them from being written."""

import base64
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
import yaml

from selfremaster.benchmarks.records import (
    GRID_NAME,
    PROVENANCE_NAME,
    RESULTS_NAME,
    read_outcome,
)
from selfremaster.benchmarks.reporting import charts, markdown, pages, reports, words
from selfremaster.benchmarks.reporting.audio import matching_gains
from selfremaster.benchmarks.reporting.numbers import Findings, find
from selfremaster.benchmarks.reporting.tables import group_of
from selfremaster.benchmarks.reporting.texts import MOST_ROWS
from selfremaster.core.errors import ExperimentError
from selfremaster.core.loudness import integrated_loudness
from tests.outcomes import make_outcome


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_outcome(tmp_path_factory.mktemp("outcome"))


@pytest.fixture(scope="module")
def findings(outcome: Path) -> Findings:
    return find(read_outcome(outcome))


@pytest.fixture(scope="module")
def written(outcome: Path) -> tuple[str, str]:
    text, page = reports.write(outcome)
    assert (text.name, page.name) == ("report.md", "report.html")
    return text.read_text(), page.read_text()


def change(folder: Path, **changes: Any) -> None:
    """Give every result other values."""
    path = folder / RESULTS_NAME
    lines = [json.loads(line) | changes for line in path.read_text().splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def rename(folder: Path, name: Callable[[dict[str, Any]], str], **changes: Any) -> None:
    """Give every result another name of its file, and values that may hold it as ``{file}``."""
    path = folder / RESULTS_NAME
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line["file"] = name(line)
        line |= changes
        line["reason"] = line["reason"].format(file=f"{line['restorer']}/{line['file']}")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_both_reports_are_written_and_the_folder_holds_nothing_else_new(tmp_path: Path) -> None:
    folder = make_outcome(tmp_path / "one", pieces=1, sounding=0)
    before = {path.name for path in folder.iterdir()}
    reports.write(folder)
    assert {path.name for path in folder.iterdir()} - before == {"report.md", "report.html"}


def test_the_same_outcome_gives_the_same_reports(
    findings: Findings, written: tuple[str, str]
) -> None:
    text = markdown.text(findings, "report.html")
    assert (text, pages.page(findings)) == written


def test_means_are_those_of_the_results(findings: Findings) -> None:
    table = findings.tables[0]
    (system,) = [one for one in findings.systems if one.label == "supervised"]
    (column,) = [one for one in findings.columns if one.name == "pesq"]
    values = [
        one.scores["pesq"]
        for one in findings.outcome.results
        if (one.condition, one.restorer) == ("band-limited", "supervised")
    ]
    found = table.cell(system, column).interval
    assert found is not None
    assert found.n == len(values) == 12
    assert found.mean == pytest.approx(sum(values) / 12)  # type: ignore[arg-type]  # all are there


def test_floor_ceiling_and_baseline_are_known(findings: Findings) -> None:
    roles = {system.label: system.role for system in findings.systems}
    assert roles["input"] == "floor"
    assert roles["copy synthesis"] == "ceiling"
    assert findings.baseline.label == "input"
    assert [one.label for one in findings.contestants] == [
        "noise gate",
        "supervised",
        "dual learning",
    ]


def test_the_best_is_never_one_that_was_told(findings: Findings) -> None:
    for table in findings.tables:
        best = [place for place, cell in table.cells.items() if cell.best]
        assert {name for _, name in best} == {column.name for column in findings.columns}
        assert not [label for label, _ in best if label == "copy synthesis"]


def test_a_lower_number_is_a_gain_where_lower_is_better(findings: Findings) -> None:
    table = findings.tables[0]
    (system,) = [one for one in findings.systems if one.label == "dual learning"]
    for name in ("wer", "lsd", "stoi"):
        (column,) = [one for one in findings.columns if one.name == name]
        found = table.cell(system, column).difference
        assert found is not None
        assert found.median > 0
        assert found.verdict == "better"
        assert found.p <= found.adjusted


def test_the_told_and_the_baseline_are_not_tested(findings: Findings) -> None:
    tested = {place[0] for place, cell in findings.tables[0].cells.items() if cell.difference}
    assert tested == {"noise gate", "supervised", "dual learning"}


def test_one_number_of_each_group_stands_in_front(findings: Findings) -> None:
    assert [one.name for one in findings.headlines] == [
        "distillmos",
        "wer",
        "speaker-similarity",
        "lsd",
        "ltas",
    ]
    assert [name for name, _ in findings.groups] == [
        "quality",
        "intelligibility",
        "identity",
        "signal",
        "channel",
    ]


def test_where_sound_is_transferred_the_channel_comes_first(tmp_path: Path) -> None:
    names = ["distillmos", "lsd", "ltas"]
    folder = make_outcome(tmp_path, pieces=1, sounding=0, metrics=names, failing=False)
    assert [one.name for one in find(read_outcome(folder)).headlines] == names
    grid = folder / "grid.yaml"
    grid.write_text(grid.read_text() + "task: transfer\n")
    found = find(read_outcome(folder))
    assert [one.name for one in found.columns] == ["ltas", "distillmos", "lsd"]
    assert "measured against its damaged twin" in reports.write(folder)[0].read_text()


def test_failures_and_gaps_are_told_with_reasons(
    findings: Findings, written: tuple[str, str]
) -> None:
    (failure,) = findings.failures
    assert failure.where == "noise gate"
    assert len(failure.files) == 6
    (gap,) = findings.gaps
    assert gap.where == "dnsmos"
    for report in written:
        assert "holds no pause to learn the noise from" in report
        assert "needs the package speechmos" in report
        assert "0 samples of audio; nothing to restore" in report
        assert "n = 10" in report  # of twelve, two failed


def test_the_worst_files_are_those_of_the_largest_loss(findings: Findings) -> None:
    (system,) = [one for one in findings.systems if one.label == "noise gate"]
    losses = findings.worst(system)
    assert len(losses) == 10
    assert losses == sorted(losses, key=lambda loss: loss.gain)
    assert losses[0].gain == pytest.approx(losses[0].score - losses[0].floor)
    assert {column.name for column, _ in losses[0].others} == {
        "wer",
        "speaker-similarity",
        "lsd",
        "ltas",
    }
    assert findings.worst(findings.floor) == []


def test_the_breakdown_holds_every_speaker_in_every_condition(findings: Findings) -> None:
    assert [(one.condition, one.speaker, one.n) for one in findings.slices] == [
        (condition, speaker, 6)
        for condition in ("band-limited", "clipped", "hiss")
        for speaker in ("alder", "heart")
    ]


def test_costs_are_taken_together_over_cells(findings: Findings) -> None:
    (row,) = [one for one in findings.costs if one.system.label == "supervised"]
    assert row.real_time_factor == pytest.approx(0.5 * 0.08)
    assert row.parameters == 3_104_512
    assert row.training_minutes == pytest.approx(14.5)


def test_markdown_has_every_part(written: tuple[str, str]) -> None:
    text, _ = written
    for title in (
        "# Three sorts of damage",
        "## What limits these numbers",
        "## Results",
        "### hiss",
        "## Breakdown",
        "## Worst files",
        "## Costs",
        "## Failures and gaps",
        "## Provenance",
    ):
        assert f"\n{title}\n" in f"\n{text}"
    assert "| copy synthesis *(ceiling, told)* |" in text
    assert "ITU-T P.862.2; pesq 0.0.4" in text
    assert "selfremaster benchmark grid.yaml" in text
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_the_page_needs_nothing_from_elsewhere(written: tuple[str, str]) -> None:
    _, page = written
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*", page)
    assert "default-src 'none'" in page
    assert "@import" not in page
    assert "url(" not in page


def sounds_of(page: str) -> dict[str, str]:
    found = re.search(r'<script type="application/json" id="sounds">(.*?)</script>', page, re.S)
    assert found
    return dict(json.loads(found[1]))


def test_each_sound_is_in_the_page_once_and_as_it_was(
    outcome: Path, written: tuple[str, str]
) -> None:
    sounds = sounds_of(written[1])
    used = set(re.findall(r'data-sound="(\w+)"', written[1]))
    assert used == set(sounds)
    assert len(set(sounds.values())) == len(sounds)
    (kept,) = [
        name
        for name in re.findall(
            r'data-sound="(\w+)" data-gain="[\d.]+" data-label="original"', written[1]
        )
    ][:1]
    wave, rate = soundfile.read(io.BytesIO(base64.b64decode(sounds[kept])))
    original = next(outcome.glob("sounds/band-limited/alder/0/alder-1-0/reference.flac"))
    expected, expected_rate = soundfile.read(original)
    assert rate == expected_rate
    assert wave == pytest.approx(expected, abs=2**-15)


def test_sounds_are_made_equally_loud_and_stay_within_full_scale() -> None:
    chance = torch.Generator().manual_seed(0)
    noise = torch.randn(16000, generator=chance)
    clicks = 0.01 * noise
    clicks[4000] = 0.9
    waves = {"loud": 0.2 * noise.clamp(-4, 4), "quiet": 0.02 * noise, "clicks": clicks}
    gains = matching_gains(waves, 16000)
    levels = [integrated_loudness(gains[name] * wave, 16000) for name, wave in waves.items()]
    assert levels == pytest.approx([levels[0]] * 3, abs=0.05)
    assert max(float((gains[name] * wave).abs().max()) for name, wave in waves.items()) <= 0.981
    assert matching_gains({"silence": torch.zeros(16000)}, 16000) == {"silence": 1.0}
    assert matching_gains({**waves, "silence": torch.zeros(16000)}, 16000)["silence"] == 1.0


def test_what_does_not_fit_is_left_out_and_named(
    findings: Findings, written: tuple[str, str]
) -> None:
    for share in (0.3, 0.5, 0.9):
        page = pages.page(findings, round(len(written[1]) * share))
        assert len(page) <= len(written[1]) * share
    assert "no room left in the page" in page
    assert '<article class="player"' in page


def test_a_sound_that_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    folder = make_outcome(tmp_path, pieces=1, sounding=1, seconds=0.6)
    for path in folder.glob("sounds/hiss/alder/0/*/restored-supervised.flac"):
        path.write_bytes(b"none")
    page = reports.write(folder)[1].read_text()
    assert "alder/alder-1-0.flac, hiss: sounds/hiss/alder/0/alder-1-0/restored-supervised" in page
    assert str(tmp_path) not in page


def test_a_benchmark_where_all_failed_has_a_report(tmp_path: Path) -> None:
    folder = make_outcome(tmp_path, pieces=1, sounding=0)
    change(folder, status="failed", reason="OSError: the disk is full", scores={}, gaps={})
    for path in reports.write(folder):
        assert "the disk is full" in path.read_text()
        assert "Nothing was measured here." in path.read_text()
        assert "No number was measured" in path.read_text()


def test_one_file_has_means_without_intervals_and_says_so(tmp_path: Path) -> None:
    folder = make_outcome(tmp_path, pieces=1, sounding=0, failing=False)
    path = folder / RESULTS_NAME
    lines = [line for line in path.read_text().splitlines() if '"alder-1-0.flac"' in line]
    path.write_text("\n".join(lines) + "\n")
    findings = find(read_outcome(folder))
    assert all(
        cell.interval and cell.interval.low is None for cell in findings.tables[0].cells.values()
    )
    text = reports.write(folder)[0].read_text()
    assert "So few files cannot give a mark" in text
    assert "15 cells have no result yet" in text


def test_without_references_only_such_numbers_stand_there(tmp_path: Path) -> None:
    folder = make_outcome(
        tmp_path, pieces=1, sounding=0, metrics=["distillmos", "wer"], failing=False
    )
    findings = find(read_outcome(folder))
    assert [one.name for one in findings.columns] == ["distillmos", "wer"]
    text, page = reports.write(folder)
    assert "None: every cell finished" in text.read_text()
    assert 'id="listen"' not in page.read_text()


def test_hundreds_of_files_and_several_seeds(tmp_path: Path) -> None:
    folder = make_outcome(
        tmp_path, pieces=50, sounding=0, seeds=(0, 1), conditions={"as it is": None}
    )
    text, page = reports.write(folder)
    assert len(text.read_text()) < 100_000
    assert len(page.read_text()) < 300_000
    table = find(read_outcome(folder)).tables[0]
    assert (table.files, table.n, table.units) == (300, 600, 300)


def test_names_are_text_and_no_markup(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    folder = make_outcome(tmp_path, pieces=1, sounding=1, seconds=0.6, conditions={"hiss": "noise"})
    change(folder, speaker=f"{evil}|x", corpus=evil, reason=f"{evil}\nnext")
    rename(folder, lambda line: f"{line['file']}{evil}\\|[x](y)")
    provenance = json.loads((folder / PROVENANCE_NAME).read_text())
    provenance["exclusions"] = [f"{evil}: {evil}"]
    provenance["command"] = f"```\n{evil}"
    provenance["plugins"] = {evil: evil}
    (folder / PROVENANCE_NAME).write_text(json.dumps(provenance))
    written = reports.write(folder)
    text, page = (path.read_text() for path in written)
    assert evil not in page
    told, _, code = text.partition("````sh\n```\n")  # a longer fence than what is within
    assert evil not in told
    assert code.startswith(f"{evil}\n````\n")
    assert "&lt;script>alert(1)&lt;/script>\\|x" in told
    assert "&lt;/script>\\\\\\|[x]\\(y)" in told


def test_what_stands_in_the_grid_ends_no_block(tmp_path: Path) -> None:
    folder = make_outcome(tmp_path, pieces=1, sounding=0, conditions={"hiss": "noise"})
    grid = yaml.safe_load((folder / GRID_NAME).read_text())
    grid["about"] = "So it is run:\n\n```sh\nselfremaster\n```\n"
    (folder / GRID_NAME).write_text(yaml.safe_dump(grid))
    text = reports.write(folder)[0].read_text()
    shown = text.rpartition("````yaml\n")[2].partition("\n````\n")[0]
    assert yaml.safe_load(shown)["about"] == grid["about"]


def test_a_restorer_that_cannot_be_loaded_is_no_contestant(tmp_path: Path) -> None:
    folder = make_outcome(tmp_path, pieces=2, sounding=0, conditions={"hiss": "noise"})
    provenance = json.loads((folder / PROVENANCE_NAME).read_text())
    provenance["restorers"]["copy synthesis"]["told"] = None
    (folder / PROVENANCE_NAME).write_text(json.dumps(provenance))
    found = find(read_outcome(folder))
    assert "copy synthesis" not in [one.label for one in found.contestants]
    cells = {place[0]: cell for place, cell in found.tables[0].cells.items()}
    assert not cells["copy synthesis"].best
    assert not cells["copy synthesis"].difference
    text, page = (path.read_text() for path in reports.write(folder))
    assert "copy synthesis *(not loaded)*" in text
    assert '<span class="badge bad">not loaded</span>' in page


def test_thousands_of_failures_are_told_in_part(tmp_path: Path) -> None:
    folder = make_outcome(tmp_path, pieces=50, sounding=0, conditions={"hiss": "noise"})
    rename(folder, lambda line: line["file"], reason="{file}: broken", status="failed", scores={})
    text, page = reports.write(folder)
    assert text.read_text().count(": broken") == MOST_ROWS
    assert f"- {5 * 300 - MOST_ROWS} more: results.jsonl has all" in text.read_text()
    assert f"{5 * 300 - MOST_ROWS} more" in page.read_text()


def test_a_number_of_two_metrics_stays_in_its_group() -> None:
    assert group_of("wer (wer:recogniser=faster-whisper)") == "intelligibility"
    assert group_of("dnsmos-sig (dnsmos:loudness_lufs=-26)") == "quality"
    assert group_of("mcd (mcd:align=dtw)") == "signal"
    assert group_of("vuv-error") == "identity"


def test_a_strange_folder_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ExperimentError, match="is not the folder of a benchmark"):
        reports.write(tmp_path)
    folder = make_outcome(tmp_path / "one", pieces=1, sounding=0)
    grid = folder / "grid.yaml"
    grid.write_text(grid.read_text().replace("seeds:", "seed:"))
    with pytest.raises(ExperimentError, match="did you mean 'seeds'"):
        reports.write(folder)


def test_ticks_are_round_and_within() -> None:
    for low, high in ((0.1, 0.9), (-31.0, 250.0), (1e-4, 3e-4), (4.0, 4.1)):
        marks = charts.ticks(low, high)
        assert 2 <= len(marks) <= 8
        assert low <= marks[0] < marks[-1] <= high


def test_a_chart_says_its_numbers_in_words(findings: Findings) -> None:
    svg = str(charts.forest(findings, findings.tables[0], findings.headlines[0]))
    assert "<title>distillmos, band-limited</title>" in svg
    assert re.search(r"<desc>input: [\d.]+, [\d.]+ to [\d.]+; copy synthesis", svg)
    places = [float(place) for place in re.findall(r'c?x[12]?="([\d.]+)%"', svg)]
    assert all(0 <= place <= 100 for place in places)


def test_a_little_markdown_becomes_html() -> None:
    html = words.rich("One *two* **three**.\n\n- a `b*c*`\n- [d](https://e.org) <i>")
    assert "<em>two</em> <strong>three</strong>" in html
    assert "<li>a <code>b" in html
    assert '<a href="https://e.org">d</a> &lt;i&gt;' in html
    assert "javascript" not in words.rich("[x](javascript:alert)").replace(
        "[x](javascript:alert)", ""
    )


def test_numbers_are_written_for_people() -> None:
    assert words.number(-0.0004, 3) == "0.000"
    assert words.number(math.nan) == "-"
    assert words.duration(59.96) == "60.0 s"


def test_speakers_are_what_is_drawn_where_there_are_enough(tmp_path: Path) -> None:
    folder = make_outcome(tmp_path, pieces=4, sounding=0, failing=False)
    path = folder / RESULTS_NAME
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:  # three speakers in each corpus, four files of each
        line["speaker"] = line["file"].rpartition("-")[0]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    table = find(read_outcome(folder)).tables[0]
    assert table.by_speaker
    assert (table.files, table.n, table.units) == (24, 24, 6)
    text = reports.write(folder)[0].read_text()
    assert "bootstrap over speakers" in text
    assert "intervals over 6 speakers" in text
    assert "So few speakers cannot give a mark" in text


def test_a_damaged_file_of_a_benchmark_is_named(tmp_path: Path) -> None:
    folder = make_outcome(tmp_path / "one", pieces=1, sounding=0)
    (folder / "costs.jsonl").write_text("{", encoding="utf-8")
    with pytest.raises(ExperimentError, match=r"costs\.jsonl: cannot be read .* --resume"):
        reports.write(folder)
