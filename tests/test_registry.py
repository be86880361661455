"""The table of parts: names, owners, classes, and what is said when there is none."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import selfremaster as sr
from selfremaster.core.components import KINDS
from selfremaster.core.errors import ComponentError
from selfremaster.core.interfaces import BASES, Loss
from selfremaster.registry.building import build, list_components
from selfremaster.registry.loading import BUILTIN, load_plugins
from selfremaster.registry.tables import Entry, Owner, Table, info, load_class

ROOT = Path(__file__).parent.parent
OURS, THEIRS = Owner(BUILTIN, "1.0"), Owner("vintage-fx", "0.3")


@pytest.fixture
def table() -> Table:
    filled = Table()
    filled.add("degradation", "overdrive", "a.b:C", OURS)
    filled.add("degradation", "clip", "a.b:C", OURS)
    filled.add("features", "mel", "a.b:C", OURS)
    return filled


def test_names_are_sorted_and_kinds_in_their_order(table: Table) -> None:
    assert table.names("degradation") == ["clip", "overdrive"]
    assert [entry.name for entry in table.entries()] == ["mel", "clip", "overdrive"]
    assert [entry.name for entry in table.entries("features")] == ["mel"]


def test_an_unknown_name_suggests_the_near_one(table: Table) -> None:
    with pytest.raises(ComponentError) as raised:
        table.find("degradation", "clp")
    assert str(raised.value) == (
        "no degradation named 'clp'; did you mean 'clip'? known: clip, overdrive"
    )


@pytest.mark.parametrize("kind", ["degradations", None, ["degradation"]])
def test_an_unknown_kind_is_refused(table: Table, kind: Any) -> None:
    with pytest.raises(ComponentError, match=r"no kind of part named .*known: analyzer, channel"):
        table.find(kind, "clip")


def test_a_name_declared_by_two_is_kept_and_refused_when_used(table: Table) -> None:
    table.add("degradation", "clip", "x.y:Z", THEIRS)
    with pytest.raises(ComponentError) as raised:
        table.find("degradation", "clip")
    assert str(raised.value) == (
        "degradation 'clip' is declared by selfremaster and by vintage-fx 0.3; "
        "leave one out with --without vintage-fx"
    )
    assert [[entry.owner for entry in entries] for entries in table.duplicates()] == [
        [OURS, THEIRS]
    ]
    assert table.find("degradation", "overdrive").owner == OURS


def test_a_stranger_is_the_one_to_leave_out_whoever_came_first() -> None:
    table = Table()
    table.add("degradation", "clip", "x.y:Z", THEIRS)
    table.add("degradation", "clip", "a.b:C", OURS)
    with pytest.raises(ComponentError, match=r"leave one out with --without vintage-fx$"):
        table.find("degradation", "clip")


def test_the_same_name_is_free_in_another_kind(table: Table) -> None:
    table.add("loss", "clip", "x.y:Z", THEIRS)
    assert table.find("loss", "clip").owner == THEIRS
    assert table.duplicates() == []


@pytest.mark.parametrize("name", ["Clip", "two words", "under_score", "-clip", "clip-", "", None])
def test_a_bad_name_is_refused(table: Table, name: Any) -> None:
    with pytest.raises(ComponentError, match="is not a name for a loss; use lower-case-with"):
        table.add("loss", name, "x.y:Z", THEIRS)
    assert table.names("loss") == []


@pytest.mark.parametrize("target", ["", "x.y", ":Z", "x.y:", "x.y:Z.W", "x.y:Z:W", Loss])
def test_a_bad_target_is_refused(table: Table, target: Any) -> None:
    with pytest.raises(ComponentError, match=r"is not package\.module:Class"):
        table.add("loss", "near", target, THEIRS)
    assert table.names("loss") == []


def test_one_owner_declares_a_name_once(table: Table) -> None:
    with pytest.raises(ComponentError, match="'clip' is declared twice by selfremaster; declare"):
        table.add("degradation", "clip", "a.b:D", OURS)
    assert table.find("degradation", "clip").target == "a.b:C"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:A", "cannot be imported: ModuleNotFoundError: No module named"),
        ("json:Nothing", "cannot be imported: AttributeError: module 'json' has no attribute"),
        ("json:dumps", "json:dumps is not a class"),
    ],
)
def test_what_cannot_be_had_names_the_part_and_its_owner(target: str, message: str) -> None:
    with pytest.raises(ComponentError) as raised:
        load_class(Entry("loss", "near", target, THEIRS))
    assert str(raised.value).startswith("loss 'near' of vintage-fx 0.3")
    assert message in str(raised.value)


def test_the_summary_is_read_without_importing(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "sr_unimported.py").write_text(
        'raise RuntimeError\n\nclass Part:\n    """Mend the sound.\n\n    More.\n    """\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = info(Entry("loss", "near", "sr_unimported:Part", THEIRS))
    assert found == ("loss", "near", "Mend the sound", "vintage-fx", "0.3")
    assert "sr_unimported" not in sys.modules


@pytest.mark.parametrize(
    "source", ["", "class Part:\n    pass", "class :", "\0", "class Other:\n    'Mend.'"]
)
def test_a_summary_that_cannot_be_had_is_empty(
    tmp_path: Path, monkeypatch: Any, source: str, request: Any
) -> None:
    name = f"sr_no_summary_{abs(hash(source))}"
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    assert info(Entry("loss", "near", f"{name}:Part", THEIRS)).summary == ""


@pytest.mark.parametrize("source", ["import nowhere_at_all", "1 / 0", "raise SystemExit(3)"])
def test_a_package_that_breaks_does_not_break_the_list(
    tmp_path: Path, monkeypatch: Any, source: str
) -> None:
    package = f"sr_breaks_{len(source)}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    assert info(Entry("loss", "near", f"{package}.inner:Part", THEIRS)).summary == ""


def test_listing_imports_no_torch() -> None:
    code = (
        "import sys; import selfremaster as sr; parts = sr.list_components(); "
        "assert len(parts) > 5, parts; assert 'torch' not in sys.modules; print('done')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_every_part_has_a_kind_a_summary_and_an_owner() -> None:
    loaded = load_plugins()
    parts = [info(entry) for entry in loaded.table.entries() if entry.owner.name == BUILTIN]
    assert {part.kind for part in parts} <= set(KINDS)
    assert [part for part in parts if not part.summary or part.summary.endswith(".")] == []


def test_kinds_have_their_base_classes() -> None:
    assert set(BASES) == set(KINDS)
    assert all(base.kind == kind for kind, base in BASES.items())


def test_lists_are_of_one_kind_or_of_all() -> None:
    everything = list_components()
    for kind in KINDS:
        assert list_components(kind) == [part for part in everything if part.kind == kind]
    with pytest.raises(ComponentError, match="did you mean 'vocoder'"):
        list_components("vocodr")


def test_the_readme_line_works() -> None:
    part = sr.build("degradation", "clip:ratio=0.25")
    assert part.config.ratio == 0.25
    assert sr.build("degradation", {"name": "clip", "ratio": 0.25}).config == part.config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clp", r"no degradation named 'clp'; did you mean 'clip'\? known: .*band-limit, "),
        ("Clip", r"no degradation named 'Clip'; did you mean 'clip'\?"),
        ("band_limit", r"no degradation named 'band_limit'; did you mean 'band-limit'\?"),
        ("clip:ratio=2", "degradation clip: ratio=2: Input should be less than or equal to 1"),
        ("clip:raito=1", "degradation clip: no setting 'raito'; did you mean 'ratio'?"),
    ],
)
def test_errors_name_what_was_given_and_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(ComponentError, match=f"^{message}"):
        build("degradation", text)
