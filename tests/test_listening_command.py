"""`selfremaster listen`: what it writes, what it says, and every bad input in one line."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

from selfremaster.benchmarks.listening.designs import Key
from selfremaster.benchmarks.listening.pages import TEXTS
from selfremaster.benchmarks.records import Provenance, Result
from selfremaster.core import audio
from tests.cli import left_behind, run
from tests.listening import answers, speech_systems, write

TRUTH = {"clipped": 2.0, "quiet": 4.0, "reference": 4.7, "noise": 0.7, "anchor 3500 Hz": 2.6}


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("systems")
    clean, clipped, quiet = speech_systems(folder, seconds=0.3)
    return {"clean": clean, "clipped": clipped, "quiet": quiet}


def given(systems: dict[str, Path]) -> list[str]:
    named = [f"{name}={systems[name]}" for name in ("clipped", "quiet")]
    return [
        *(word for name in named for word in ("--system", name)),
        "--reference",
        str(systems["clean"]),
    ]


def data_of(index: Path) -> dict[str, object]:
    found = re.search(r'id="test">(.*?)</script>', index.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    data: dict[str, object] = json.loads(found[1])
    return data


def test_a_test_is_pages_links_and_a_key(systems: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "mos"
    words = ("--listeners", "6", "--title", "Old <tapes> & new", "--seed", "4", "--practice", "1")
    told = run("listen", "prepare", "--test", "mos", *given(systems), "--output", output, *words)
    assert told.code == 0, told.err
    first, *rest = told.out.splitlines()
    assert first.startswith("mos of 3 systems, 6 sentences: 6 playlists of 9 trials, 0.0 minutes")
    assert rest == [
        f"pages       -> {output}/site/index.html",
        f"invitations -> {output}/invitations.csv",
        f"key         -> {output}/key.json (not for listeners)",
    ]
    key = Key.from_file(output / "key.json")
    sounds = {*key.clips, *(f"beeps-{n}.flac" for n in (1, 2, 3))}
    assert set(left_behind(output)) == {
        "key.json",
        "invitations.csv",
        "site/index.html",
        *(f"site/sounds/{name}" for name in sounds),
    }
    text = (output / "site" / "index.html").read_text(encoding="utf-8")
    assert "<title>Old &lt;tapes&gt; &amp; new</title>" in text
    for secret in (
        "clipped",
        "quiet",
        "alder",
        "heart",
        "noise:",
        str(tmp_path),
        str(systems["clean"]),
    ):
        assert secret not in json.dumps(data_of(output / "site" / "index.html"))
    assert not re.search(r"(src|href)=\"(https?:)?//", text)
    assert "connect-src 'none'" in text
    with (output / "invitations.csv").open(encoding="utf-8") as opened:
        links = [row["link"] for row in csv.DictReader(opened)]
    assert links[2] == (output / "site" / "index.html").as_uri() + "?playlist=3"


def test_the_seed_makes_the_pages(systems: dict[str, Path], tmp_path: Path) -> None:
    words = ("listen", "prepare", "--test", "preference", *given(systems), "--quiet")
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        told = run(
            *words, "--output", tmp_path / name, "--seed", seed, "--address", "https://x.org/t"
        )
        assert told == (0, "", "")
    there = {name: left_behind(tmp_path / name) for name in "abc"}
    assert there["a"] == there["b"] != there["c"]
    for file in there["a"]:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert "1,https://x.org/t?playlist=1" in (tmp_path / "a" / "invitations.csv").read_text()


def test_overwriting_leaves_no_sound_of_before(systems: dict[str, Path], tmp_path: Path) -> None:
    output = tmp_path / "test"
    words = ("listen", "prepare", *given(systems), "--output", output, "--quiet", "--json")
    assert run(*words, "--test", "mos").code == 0
    assert run(*words, "--test", "mushra").error.startswith(
        f"error: {output}: holds a listening test already, whose answers its key alone can read"
    )
    told = run(*words, "--test", "mushra", "--overwrite", "--anchor", "1000", "--anchor", "3500")
    described = json.loads(told.out)
    assert described["systems"] == [
        "clipped",
        "quiet",
        "reference",
        "anchor 1000 Hz",
        "anchor 3500 Hz",
    ]
    key = Key.from_file(output / "key.json")
    sounds = {path.name for path in (output / "site" / "sounds").iterdir()}
    assert sounds == {*key.clips, *(f"beeps-{n}.flac" for n in (1, 2, 3))}


def test_every_language_says_everything() -> None:
    every = yaml.safe_load(TEXTS.read_text(encoding="utf-8"))

    def places(found: object, above: str = "") -> set[str]:
        if isinstance(found, dict):
            return {one for name, item in found.items() for one in places(item, f"{above}.{name}")}
        if isinstance(found, list):
            assert all(isinstance(item, str) for item in found)
            return {f"{above}[{len(found)}]"}
        assert isinstance(found, str), above
        names = sorted(re.findall(r"\{\w+\}", found))
        return {f"{above} {names}"}

    for language, texts in every.items():
        assert places(texts) == places(every["en"]), language
    script = TEXTS.with_name("page.js").read_text(encoding="utf-8")
    for sender in ("fetch(", "XMLHttpRequest", "sendBeacon", "WebSocket", "EventSource", "import("):
        assert sender not in script
    for path in re.findall(r'say\("([\w.]+)"', script):
        found = every["en"]
        for name in path.split("."):
            found = found[name]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--test", "mox"), "no listening test 'mox'; did you mean 'mos'"),
        (("--test", "mos", "--system", "again"), "--system again: give NAME=FOLDER"),
        (("--test", "mos", "--system", "quiet=x"), "--system quiet is given twice"),
        (("--test", "mos", "--language", "xx"), "no pages in language 'xx'; known: "),
        (("--test", "mos", "--trials", "7"), "--trials 7, but there are 6 sentences"),
        (("--test", "mos", "--condition", "tape"), "--condition is one of a benchmark"),
        (("--test", "mos", "--loudness", "3"), "loudness_lufs=3.0: Input should be less"),
        (("--test", "mushra", "--anchor", "12000"), "an anchor of 12000 Hz cannot be made"),
        (("--test", "mos", "--system", "none=nowhere"), "nowhere: no such file or folder"),
    ],
)
def test_bad_input(
    words: tuple[str, ...], message: str, systems: dict[str, Path], tmp_path: Path
) -> None:
    output = tmp_path / "out"
    told = run("listen", "prepare", *given(systems), "--output", output, *words)
    assert message in told.error


def test_a_system_that_lacks_files(systems: dict[str, Path], tmp_path: Path) -> None:
    wave, rate = audio.read(systems["quiet"] / "alder" / "alder-1.flac")
    audio.write(tmp_path / "half" / "alder" / "alder-1.flac", wave, rate)
    words = ("listen", "prepare", "--test", "mos", "--output", tmp_path / "out")
    told = run(*words, "--system", f"a={systems['quiet']}", "--system", f"b={tmp_path}/half")
    assert told.error == (
        f"error: system b ({tmp_path}/half) lacks alder/alder-2, alder/alder-3, heart/heart-1 and "
        f"2 more; every system needs the same files, by name"
    )
    assert "one system alone (a)" in run(*words, "--system", f"a={systems['quiet']}").error
    assert "nothing to hear" in run(*words).error
    told = run(*words, tmp_path / "half", "--system", "a")
    assert "is not the folder of a benchmark" in told.error
    assert left_behind(tmp_path) == ["half/alder/alder-1.flac"]


def test_answers_become_tables(systems: dict[str, Path], tmp_path: Path) -> None:
    words = ("listen", "prepare", "--test", "mos", *given(systems), "--quiet")
    assert run(*words, "--output", tmp_path / "mos", "--listeners", "6").code == 0
    key = Key.from_file(tmp_path / "mos" / "key.json")
    folder = tmp_path / "answers"
    told = [answers(key, f"l{n}", n, lambda clip: TRUTH[clip.label]) for n in range(1, 7)]
    write(folder, key, *told, answers(key, "careless", 1, lambda clip: 3))
    command = ("listen", "analyse", folder, "--key", tmp_path / "mos" / "key.json")
    done = run(*command, "--output", tmp_path / "report")
    assert done.code == 1  # the key that lies among the answers is one of two, and no answers
    assert "key.json: not a file of answers" in done.err
    (folder / "key.json").unlink()
    done = run(*command, "--output", tmp_path / "report", "--overwrite")
    assert done.code == 0
    lines = [line.split() for line in done.out.splitlines()]
    assert ["clipped", "2.00", "2.00", "2.00", "12"] in lines
    assert ["quiet", "4.00", "4.00", "4.00", "12"] in lines
    assert "6 of 7 listeners count" in done.out
    assert "screened out: careless failed 1 of 2 attention checks" in done.out
    assert left_behind(tmp_path / "report") == ["chart.png", "report.md", "results.csv"]
    again = run(*command, "--output", tmp_path / "report")
    assert "exists already; add --overwrite" in again.error
    everyone = json.loads(run(*command, "--keep-all", "--json").out)
    assert everyone["listeners"] == 7
    assert everyone["screening_applied"] is False
    assert everyone["screened_out"][0]["listener"] == "careless"


def test_answers_to_another_test(systems: dict[str, Path], tmp_path: Path) -> None:
    for name in ("mos", "mushra"):
        words = ("--test", name, *given(systems), "--output", tmp_path / name, "--quiet")
        assert run("listen", "prepare", *words).code == 0
    key = Key.from_file(tmp_path / "mos" / "key.json")
    write(tmp_path / "answers", key, answers(key, "one", 1, lambda clip: TRUTH[clip.label]))
    told = run(
        "listen",
        "analyse",
        tmp_path / "answers" / "one.json",
        "--key",
        tmp_path / "mushra/key.json",
    )
    assert "no answers to this test; " in told.error
    assert "answers to another test (mos " in told.error
    nothing = run("listen", "analyse", tmp_path / "none", "--key", tmp_path / "mushra/key.json")
    assert nothing.error == f"error: {tmp_path}/none: no such file or folder; check the path"


def write_benchmark(folder: Path, systems: dict[str, Path]) -> Path:
    """The output of a benchmark of two restorers, one of which failed on a file."""
    results = []
    for restorer in ("clipped", "quiet"):
        for number in (1, 2, 3):
            name = f"alder/alder-{number}.flac"
            failed = restorer == "quiet" and number == 3
            sounds = {"restored": f"{restorer}/{name}"} if not failed else {}
            result = Result(
                cell="0" * 16,
                condition="tape" if number < 3 else "disc",
                corpus="examples",
                seed=0,
                restorer=restorer,
                file=name,
                speaker="alder",
                seconds=0.3,
                sample_rate=22050,
                status="failed" if failed else "ok",
                sounds={**sounds, "reference": f"clean/{name}"},
            )
            results.append(result.model_dump_json())
    told = Provenance(selfremaster="0", started="2026-01-01", python="3", grid_sha256="0")
    folder.mkdir()
    for system in ("clean", "clipped", "quiet"):
        shutil.copytree(systems[system], folder / system)
    (folder / "results.jsonl").write_text("\n".join(results), encoding="utf-8")
    (folder / "costs.jsonl").write_text("", encoding="utf-8")
    (folder / "grid.yaml").write_text("name: tapes", encoding="utf-8")
    (folder / "provenance.json").write_text(told.model_dump_json(), encoding="utf-8")
    return folder


def test_a_benchmark_is_heard(systems: dict[str, Path], tmp_path: Path) -> None:
    bench = write_benchmark(tmp_path / "bench", systems)
    words = ("listen", "prepare", bench, "--test", "mushra", "--json")
    told = run(*words, "--output", tmp_path / "test")
    assert told.err == (
        "left out, not there from every system: disc/examples/0/alder/alder-3.flac\n"
    )
    assert json.loads(told.out)["systems"] == ["clipped", "quiet", "reference", "anchor 3500 Hz"]
    key = Key.from_file(tmp_path / "test" / "key.json")
    assert {about.condition for about in key.sentences.values()} == {"tape"}
    assert {about.speaker for about in key.sentences.values()} == {"alder"}
    output = ("--output", tmp_path / "other")
    assert (
        "no restorer 'quit'; did you mean 'quiet'" in run(*words, *output, "--system", "quit").error
    )
    assert "no condition 'disk'" in run(*words, *output, "--condition", "disk").error
    assert "keeps no sounds of " in run(*words, *output, "--condition", "disc").error
    folder = f"a={systems['quiet']}"
    assert "give either a benchmark" in run(*words, *output, "--system", folder).error


@pytest.mark.parametrize("command", ["prepare", "analyse"])
def test_both_commands_have_help_with_an_example(command: str) -> None:
    told = run("listen", command, "--help")
    assert told.code == 0
    assert f"Example: selfremaster listen {command} " in " ".join(told.out.split())
