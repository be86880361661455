"""Headers changed by chance end in sound or in a line of words, within the memory declared.

A thousand of them are read; the variable SELFREMASTER_EXAMPLES asks for another number, such as
20000 before a release.
"""

import os
from pathlib import Path

import pytest

from selfremaster.core.errors import AudioError
from tests import mutated_headers
from tests.mutated_headers import MEMORY_CAP, mutated, originals, read_in_batches, try_to_read

EXAMPLES = int(os.environ.get("SELFREMASTER_EXAMPLES", "1000"))

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")


def test_nothing_but_sound_or_words_comes_of_them() -> None:
    came = read_in_batches(0, EXAMPLES)
    assert came.wrong == {}
    assert came.died == {}
    assert came.read + came.refused == EXAMPLES
    assert min(came.read, came.refused) > EXAMPLES / 10
    assert came.peak_bytes <= 2 * MEMORY_CAP


def test_a_seed_gives_the_same_file_and_others_give_others() -> None:
    assert [mutated(seed) for seed in range(40)] == [mutated(seed) for seed in range(40)]
    assert sum(mutated(seed) != originals()[seed % len(originals())] for seed in range(40)) > 35


def test_a_process_that_dies_is_named_by_its_seed_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    batches = []

    def run(first: int, last: int, report: Path) -> str:
        batches.append((first, last))
        lines = []
        for seed in range(first, last):
            lines.append(f'{{"seed": {seed}}}')
            if seed == 3:
                report.write_text("\n".join(lines))
                return "SIGSEGV"
            lines.append(f'{{"seed": {seed}, "read": true, "peak": {seed}}}')
        report.write_text("\n".join(lines))
        return ""

    monkeypatch.setattr(mutated_headers, "_run", run)
    came = read_in_batches(0, 10, batch=5)
    assert came.died == {3: "SIGSEGV"}
    assert (came.read, came.peak_bytes) == (9, 9)
    assert batches == [(0, 5), (4, 9), (9, 10)]


def test_a_sound_that_is_not_what_its_info_says_would_be_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "whole.wav"
    path.write_bytes(originals()[1])
    assert try_to_read(path)
    (tmp_path / "text.wav").write_text("no sound")
    assert not try_to_read(tmp_path / "text.wav")
    read = mutated_headers.audio.read
    monkeypatch.setattr(
        mutated_headers.audio, "read", lambda *given, **how: (read(*given, **how)[0][:, 1:], 8000)
    )
    with pytest.raises(ValueError, match="is not what"):
        try_to_read(path)

    def refuse(*_: object, **__: object) -> None:
        raise AudioError("two\nlines")

    monkeypatch.setattr(mutated_headers.audio, "inspect", refuse)
    with pytest.raises(ValueError, match="not in one line"):
        try_to_read(path)
