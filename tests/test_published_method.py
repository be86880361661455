"""The paper's comparison runs as one command, goes on where it stopped, and says what it did."""

import csv
from pathlib import Path

import pytest

from selfremaster.benchmarks import method_report, published_method
from selfremaster.core import audio
from selfremaster.core.promises.inputs import speech_like

RATE = 22050
SPEAKERS = ("dc-tts-reader", "kathleen", "ls-1")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command for one variant, one condition and one step of each run."""
    folder = tmp_path_factory.mktemp("speech")
    lines = ["path,seconds,sample_rate,speaker,split"]
    for number, (speaker, split) in enumerate(
        (speaker, split) for speaker in SPEAKERS for split in ("train", "val", "test")
    ):
        audio.write(folder / f"{number}.flac", speech_like(RATE, number, sample_rate=RATE), RATE)
        lines.append(f"{number}.flac,1.0,{RATE},{speaker},{split}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [
        *("--manifest", str(folder / "manifest.csv"), "--work", str(folder / "work")),
        *("--output", str(folder / "report.md"), "--conditions", "clip"),
        *("--variants", "source-filter", "--steps", "1"),
    ]


@pytest.fixture(scope="module")
def report(words: list[str]) -> Path:
    for package in ("pesq", "pystoi"):
        pytest.importorskip(package, reason="comes with the extra metrics")
    assert published_method.main(words) == 0
    return Path(words[5])


def test_the_report_has_every_system_and_the_transfer(report: Path) -> None:
    text = report.read_text(encoding="utf-8")
    for system in ("supervised", "ssl-dual", "pretrain + ssl-dual", "copy synthesis"):
        assert text.count(f"| source-filter, {system} |") >= 8  # four numbers of two sets
    for way in ("source", "mean-spectrum", "mean-spectrum, published", "source-filter, ssl-dual"):
        assert f"| {way} |" in text.partition("## Audio effect transfer")[2]
    assert "| source-filter-pretrain | pretrain | 1 |" in text
    assert str(report.parent) not in text


def test_every_number_is_in_the_csv(report: Path) -> None:
    with report.with_suffix(".csv").open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert len(rows) == 2 * 5  # sets, and systems with the input and the ceiling
    assert {row["set"] for row in rows} == {"reader", "strangers"}
    assert all(float(row["lsd"]) >= 0 for row in rows)


def test_what_is_done_is_not_done_again(report: Path, words: list[str]) -> None:
    work = Path(words[3])
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    text = report.read_text(encoding="utf-8")
    assert published_method.main([*words, "--only", "train"]) == 0
    assert published_method.main([*words, "--only", "report"]) == 0
    assert report.read_text(encoding="utf-8") == text
    after = {path: path.stat().st_mtime_ns for path in work.rglob("*") if path.is_file()}
    assert after == before


def test_speech_without_the_speaker_is_refused_in_one_line(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = [*words, "--work", str(tmp_path), "--recordings", "nobody", "--only", "measure"]
    assert published_method.main(changed) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "has no speech of 'nobody'; known: dc-tts-reader, kathleen, ls-1" in told


def test_an_empty_comparison_has_an_empty_table() -> None:
    assert method_report.table([]) == ""
