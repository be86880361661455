"""A whole listening test in a real browser: heard, rated, reloaded, saved, analysed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from selfremaster.benchmarks.listening.designs import Key
from tests.browser import browser, complaints, needs_browser, set_size
from tests.cli import run
from tests.listening import speech_systems

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = needs_browser

PATIENCE_SECONDS = 15
RATED = {"clean": 5, "clipped": 2, "quiet": 4, "reference": 5, "noise": 1}
POINTS = {"clipped": 30, "quiet": 80, "reference": 100, "anchor 3500 Hz": 45}
DATA = "JSON.parse(document.getElementById('test').textContent)"
QUIET = (
    "[...document.querySelectorAll('.round, .chip')]"
    ".every(one => !/Pause/.test(one.ariaLabel) && one.ariaPressed !== 'true')"
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A test of each kind, of short cuttings."""
    folder = tmp_path_factory.mktemp("tests")
    clean, clipped, quiet = speech_systems(folder, seconds=0.3)
    words = ("--system", f"clipped={clipped}", "--system", f"quiet={quiet}")
    words = (*words, "--reference", str(clean), "--listeners", "3", "--quiet")
    for test in ("mos", "smos", "preference", "mushra"):
        trials = "3" if test == "mos" else "2"
        checks = () if test == "mushra" else ("--checks", "1" if test == "mos" else "0")
        extra = (*checks, "--practice", "1" if test == "mos" else "0", "--trials", trials)
        told = run("listen", "prepare", "--test", test, *words, *extra, "--output", folder / test)
        assert told.code == 0, told.err
    return folder


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def driver(downloads: Path) -> Iterator["WebDriver"]:
    with browser(downloads=downloads) as opened:
        yield opened


def one(driver: "WebDriver", selector: str) -> Any:
    return driver.find_element("css selector", selector)


def every(driver: "WebDriver", selector: str) -> list[Any]:
    return driver.find_elements("css selector", selector)


def until(driver: "WebDriver", condition: str) -> None:
    """Wait until the page is so."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not driver.execute_script(f"return {condition}"):
        assert time.monotonic() < end, f"{condition}; {complaints(driver)}"
        time.sleep(0.02)


def press(driver: "WebDriver", key: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver, duration=0).send_keys(key).perform()


def heard(driver: "WebDriver") -> dict[str, Any]:
    """What the page keeps in the browser."""
    kept: dict[str, Any] = driver.execute_script(
        f"return JSON.parse(localStorage.getItem('selfremaster-listening:' + {DATA}.id))"
    )
    return kept


def begin(driver: "WebDriver") -> None:
    """Agree, and get through the sound check after one wrong count."""
    assert not one(driver, "#begin").is_enabled()
    one(driver, "#agreed").click()
    one(driver, "#begin").click()
    one(driver, "input[value=headphones]").click()
    one(driver, "#play-speech").click()
    until(driver, "document.getElementById('play-speech').ariaPressed === 'true'")
    until(driver, "document.getElementById('play-speech').ariaPressed === 'false'")
    for attempt, right in enumerate((False, True)):
        counts = driver.execute_script(f"return {DATA}.sound_check.tones.map(one => one.count)")
        assert not one(driver, "#go-on").is_enabled()
        driver.execute_script(  # nobody wants to wait for beeps: to the last of them
            "const play = HTMLMediaElement.prototype.play; HTMLMediaElement.prototype.play ="
            "function () { this.playbackRate = 8; return play.call(this); }"
        )
        one(driver, "#play-tones").click()
        until(driver, "!document.querySelector('.numbers').closest('fieldset').disabled")
        count = counts[attempt] if right else (2 if counts[attempt] != 2 else 3)
        one(driver, f"input[name=beeps][value='{count}']").click()
    one(driver, "#go-on").click()


def first_heard(times: int) -> str:
    """Whether the first sound of a page was heard to its end so often."""
    kept = f"JSON.parse(localStorage.getItem('selfremaster-listening:' + {DATA}.id)).current"
    return f"[{kept}].every(one => (one.reference ?? one.clips[0]).heard === {times})"


def label_of(driver: "WebDriver", key: Key) -> list[str]:
    """Who is heard on the page that is open; only the key knows."""
    state = heard(driver)
    trial = key.playlists[state["playlist"] - 1][len(state["answers"])]
    return [key.clips[name].label for name in trial.clips]


def test_mos_from_the_consent_to_the_table(
    prepared: Path, downloads: Path, driver: "WebDriver"
) -> None:
    key = Key.from_file(prepared / "mos" / "key.json")
    page = (prepared / "mos" / "site" / "index.html").as_uri()
    driver.get(f"{page}?playlist=2&listener=anna")
    assert driver.switch_to.active_element == one(driver, "h1")
    begin(driver)
    total = len(key.playlists[1])
    clicked = []
    for number in range(total):
        assert one(driver, "#progress span").text == f"{number + 1} of {total}"
        assert one(driver, "fieldset").get_property("disabled")
        press(driver, "4")  # nothing is rated before it was heard
        assert heard(driver)["current"]["ratings"] == [None]
        press(driver, " ")
        until(driver, "!document.querySelector('fieldset').disabled")
        if number == 2:  # what was heard is not forgotten
            driver.refresh()
            assert one(driver, "#progress span").text == f"3 of {total}"
            assert not one(driver, "fieldset").get_property("disabled")
            assert not one(driver, "#next").is_enabled()
        rating = RATED[label_of(driver, key)[0]]
        if number % 2:
            one(driver, f".scale input[value='{rating}']").click()
            one(driver, "#next").click()
        else:
            press(driver, str(rating))
            press(driver, "\ue007")  # Enter
        clicked.append(rating)
    assert one(driver, "h1").text == "Thank you!"
    one(driver, "#save").click()
    file = until_saved(driver, downloads)
    told = json.loads(file.read_text(encoding="utf-8"))
    assert json.loads(one(driver, "#answers").get_attribute("value")) == told
    assert (told["listener"], told["playlist"], told["test_id"]) == ("anna", 2, key.id)
    assert [answer["ratings"] for answer in told["answers"]] == [[rating] for rating in clicked]
    assert all(answer["plays"] == [1] and answer["heard"] == [1] for answer in told["answers"])
    assert told["sound_check"] == {"device": "headphones", "attempts": 2, "passed": True}
    assert "Chrome" in told["browser"]["agent"]
    words = ("listen", "analyse", file, "--key", prepared / "mos" / "key.json", "--json")
    found = run(*words, "--keep-all")
    means = {row["label"]: row["mean"] for row in json.loads(found.out)["tables"][0]["opinions"]}
    assert means == {name: RATED[name] for name in key.systems}
    assert complaints(driver) == []
    driver.refresh()  # the answers are still there to be saved
    assert one(driver, "h1").text == "Thank you!"


def until_saved(driver: "WebDriver", downloads: Path) -> Path:
    """The file of answers, when the browser has written it."""
    name = driver.execute_script("return document.querySelector('a[download]').download")
    target = downloads / str(name)
    end = time.monotonic() + PATIENCE_SECONDS
    while not target.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    return target


def skip_to_trials(driver: "WebDriver", page: str) -> None:
    """Open a test as a listener who has come through the sound check."""
    driver.get(f"{page}?playlist=1")
    driver.execute_script("localStorage.clear()")
    driver.refresh()
    one(driver, "#agreed").click()
    one(driver, "#begin").click()
    state = heard(driver)
    state["step"] = "trials"
    state["sound_check"] = {"device": "headphones", "attempts": 1, "passed": True}
    driver.execute_script(
        f"localStorage.setItem('selfremaster-listening:' + {DATA}.id, arguments[0])",
        json.dumps(state),
    )
    driver.refresh()


def finish(driver: "WebDriver", prepared: Path, test: str) -> dict[str, Any]:
    """The answers, and what the analysis says of them."""
    told = one(driver, "#answers").get_attribute("value")
    file = prepared / f"{test}.json"
    file.write_text(told, encoding="utf-8")
    words = ("--key", prepared / test / "key.json", "--json", "--keep-all")
    found = run("listen", "analyse", file, *words)
    assert found.code == 0, found.err
    assert complaints(driver) == []
    here = driver.execute_script("return document.baseURI").rpartition("/")[0]
    loaded = driver.execute_script("return performance.getEntriesByType('resource')")
    assert all(entry["name"].startswith((here, "data:")) for entry in loaded)
    table: dict[str, Any] = json.loads(found.out)["tables"][0]
    return table


@pytest.mark.parametrize("test", ["smos", "preference"])
def test_pairs(test: str, prepared: Path, driver: "WebDriver") -> None:
    key = Key.from_file(prepared / test / "key.json")
    skip_to_trials(driver, (prepared / test / "site" / "index.html").as_uri())
    chosen = []
    for _ in key.playlists[0]:
        labels = label_of(driver, key)
        first, second = every(driver, ".round")
        first.click()
        until(driver, first_heard(1))
        assert one(driver, "fieldset").get_property("disabled")
        # playing one stops the other, which then is not heard to its end
        driver.execute_script("arguments[1].click(); arguments[0].click()", first, second)
        until(driver, first_heard(2))
        assert one(driver, "fieldset").get_property("disabled")
        press(driver, "b" if test == "preference" else "s")
        until(driver, "!document.querySelector('fieldset').disabled")
        if test == "smos":
            one(driver, f".scale input[value='{RATED[labels[0]]}']").click()
        else:
            better = max(range(2), key=lambda place: RATED[labels[place]])
            press(driver, "1" if better == 0 else "3")
            chosen.append(labels[better])
        one(driver, "#next").click()
    table = finish(driver, prepared, test)
    if test == "smos":
        means = {row["label"]: row["mean"] for row in table["opinions"]}
        assert means == {name: RATED[name] for name in means}
    else:
        (row,) = table["preferences"]
        assert (row["first"], row["second"], row["n"]) == ("clipped", "quiet", 2)
        assert row["chose_second"] == chosen.count("quiet") == 2


def test_mushra_switches_while_it_plays(prepared: Path, driver: "WebDriver", players: None) -> None:
    key = Key.from_file(prepared / "mushra" / "key.json")
    skip_to_trials(driver, (prepared / "mushra" / "site" / "index.html").as_uri())
    set_size(driver, 375, 800)
    for page, _ in enumerate(key.playlists[0]):
        labels = label_of(driver, key)
        sounds = len(labels)
        for number in range(sounds + 1):
            press(driver, "r" if number == 0 else str(number))
            until(driver, f"document.querySelectorAll('.chip')[{number}].ariaPressed === 'true'")
            playing = every(driver, "[aria-pressed=true]")
            assert playing == [every(driver, ".chip")[number]]
            heard_sounds = "document.querySelector('.say').textContent"
            until(driver, f"{heard_sounds}.startsWith('{number + 1} of')")
            if (page, number) == (1, 2):  # what was heard is not forgotten
                driver.refresh()
                assert driver.execute_script(f"return {heard_sounds}").startswith("3 of")
        press(driver, str(sounds))
        until(driver, QUIET)
        assert not one(driver, "#next").is_enabled()
        for label, slider in zip(labels, every(driver, "input[type=range]"), strict=True):
            driver.execute_script(
                "arguments[0].value = arguments[1];arguments[0].dispatchEvent(new Event('input'))",
                slider,
                POINTS[label],
            )
        until(driver, "!document.getElementById('next').disabled")
        one(driver, "#next").click()
    # a browser has 40 to 75 players: those of pages that are done must be let go
    assert driver.execute_script("return window.players.filter(one => one.src).length") == 0
    set_size(driver, 1280, 900)
    table = finish(driver, prepared, "mushra")
    assert {row["label"]: row["mean"] for row in table["opinions"]} == POINTS


@pytest.fixture
def players(driver: "WebDriver") -> Iterator[None]:
    """Pages remember every player that they make."""
    source = (
        "window.players = []; window.Audio = class extends Audio {"
        "constructor(...given) { super(...given); players.push(this); } }"
    )
    added = driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": source})
    yield
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


@pytest.mark.parametrize("test", ["mos", "mushra"])
def test_a_sound_that_cannot_be_played_can_be_tried_again(
    test: str, prepared: Path, driver: "WebDriver"
) -> None:
    key = Key.from_file(prepared / test / "key.json")
    sound = prepared / test / "site" / "sounds" / key.playlists[0][0].clips[0]
    away = sound.rename(sound.with_suffix(".away"))
    try:
        skip_to_trials(driver, (prepared / test / "site" / "index.html").as_uri())
        until(driver, "document.querySelector('.failed')")
        assert "cannot be played. Try again" in one(driver, ".failed p").text
    finally:
        away.rename(sound)
    one(driver, "#retry").click()
    assert not every(driver, ".failed")
    press(driver, "1" if test == "mushra" else " ")
    told = "document.querySelector('.say').textContent"
    until(driver, f"{told} === 'Now choose your answer.' || {told}.startsWith('1 of')")
    assert not every(driver, ".failed")
    complaints(driver)


def test_a_listener_in_the_address_can_do_no_harm(prepared: Path, driver: "WebDriver") -> None:
    page = (prepared / "mos" / "site" / "index.html").as_uri()
    for given, kept in (("%3D1%2B1%7C..%2F", "_1_1_.._"), ("Zo%C3%AB%20%3Cb%3E", "Zoë _b_")):
        driver.get(f"{page}?listener={given}")
        one(driver, "#agreed").click()
        one(driver, "#begin").click()
        assert heard(driver)["listener"] == kept
        driver.execute_script("localStorage.clear()")


def test_pages_fit_and_name_all_that_can_be_pressed(prepared: Path, driver: "WebDriver") -> None:
    nameless = (
        "return [...document.querySelectorAll('button, input, a[href], textarea')].filter(one => "
        "!one.hidden && !(one.ariaLabel || one.textContent.trim() || one.labels?.length)).length"
    )
    for test in ("mos", "smos", "preference", "mushra"):
        skip_to_trials(driver, (prepared / test / "site" / "index.html").as_uri())
        assert driver.execute_script(nameless) == 0
        wide = "return document.documentElement.scrollWidth - innerWidth"
        for width in (320, 375, 1280):
            set_size(driver, width, 800)
            assert driver.execute_script(wide) <= 0
        low = (
            "return [...document.querySelectorAll('button, .scale label, .choices label')]"
            ".filter(one => one.offsetHeight && one.offsetHeight < 44).length"
        )
        assert driver.execute_script(low) == 0
    set_size(driver, 1280, 900)
