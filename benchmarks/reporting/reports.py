"""Writing the report of a benchmark: Markdown, and a page with sounds that needs nothing else."""

from pathlib import Path

from selfremaster.benchmarks.records import read_outcome
from selfremaster.benchmarks.reporting import markdown, pages
from selfremaster.benchmarks.reporting.numbers import find
from selfremaster.core.files import write_together

TEXT_NAME = "report.md"
PAGE_NAME = "report.html"


def write(folder: Path, largest_bytes: int = pages.LARGEST_BYTES) -> list[Path]:
    """Write both reports of what lies in a benchmark's folder, into it, together or not at all.

    A benchmark that is half done, or failed in part or wholly, has a report that says so. Sounds
    that would make the page larger than so many bytes are left out, and named.

    Raises `ExperimentError` for what is no benchmark's folder.
    """
    findings = find(read_outcome(folder))
    texts = (markdown.text(findings, PAGE_NAME), pages.page(findings, largest_bytes))
    paths = [folder / TEXT_NAME, folder / PAGE_NAME]
    with write_together(*paths) as temporaries:
        for path, text in zip(temporaries, texts, strict=True):
            path.write_text(text, encoding="utf-8", newline="\n")
    return paths
