"""The page of a benchmark in a browser: it plays, changes over, hides names, and fits a phone."""

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from selfremaster.benchmarks.records import RESULTS_NAME
from selfremaster.benchmarks.reporting import reports
from tests.browser import browser, complaints, needs_browser, set_size
from tests.outcomes import make_outcome

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = needs_browser

PATIENCE = 10.0  # seconds
CONDITIONS = {"band-limited": "band-limit:cutoff_hz=1000", "hiss": "noise:snr_db=8"}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_outcome(
        tmp_path_factory.mktemp("page"), conditions=CONDITIONS, pieces=1, seconds=3.0, examples=1
    )
    return reports.write(folder)[1]


@pytest.fixture(scope="module")
def driver(page: Path) -> Iterator["WebDriver"]:
    with browser() as opened:
        opened.get(page.as_uri())
        yield opened


@pytest.fixture(autouse=True)
def _fresh(driver: "WebDriver", page: Path) -> Iterator[None]:
    set_size(driver, 1280, 900)
    driver.get(page.as_uri())
    driver.execute_script("scrollTo(0, 0)")
    yield
    assert complaints(driver) == []


def state(driver: "WebDriver", number: int = 1) -> dict[str, Any]:
    """What a player says of itself."""
    found: dict[str, Any] = driver.execute_script(
        f"return {{...document.getElementById('player-{number}').dataset}}"
    )
    return found


def position(driver: "WebDriver") -> float:
    return float(state(driver)["position"])


def wait_for(driver: "WebDriver", script: str) -> None:
    """Wait until a script gives something true."""
    end = time.monotonic() + PATIENCE
    while not driver.execute_script(f"return {script}"):
        assert time.monotonic() < end, script
        time.sleep(0.02)


def playing(driver: "WebDriver", past: float = 0.0) -> None:
    root = "document.getElementById('player-1').dataset"
    wait_for(driver, f"{root}.state === 'playing' && {root}.position > {past}")


def press(driver: "WebDriver", *keys: str) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    ActionChains(driver).send_keys(*keys).perform()


def find(driver: "WebDriver", selector: str) -> Any:
    from selenium.webdriver.common.by import By

    return driver.find_element(By.CSS_SELECTOR, f"#player-1 {selector}")


def play(driver: "WebDriver") -> None:
    find(driver, ".play").click()
    playing(driver, 0.1)


def test_nothing_is_fetched(driver: "WebDriver") -> None:
    assert driver.execute_script("return navigator.onLine") is False
    assert driver.execute_script("return performance.getEntriesByType('resource').length") == 0
    assert "Three sorts of damage" in driver.title


def test_it_plays_and_changes_over_without_losing_its_place(driver: "WebDriver") -> None:
    play(driver)
    assert state(driver)["heard"] == "original"
    before = position(driver)
    press(driver, "5")
    assert state(driver)["heard"] == "supervised"
    assert state(driver)["state"] == "playing"
    assert before <= position(driver) < before + 1.5
    playing(driver, before)
    from selenium.webdriver.common.keys import Keys

    press(driver, Keys.ARROW_RIGHT)
    assert state(driver)["heard"] == "dual learning"
    press(driver, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert state(driver)["heard"] == "noise gate"
    press(driver, " ")
    assert state(driver)["state"] == "stopped"
    at = position(driver)
    assert at > before
    press(driver, " ")
    playing(driver, at)


def test_what_is_heard_is_the_chosen_sound_alone(driver: "WebDriver") -> None:
    """The nodes of Web Audio are asked: one gain is up, and the others are down."""
    driver.execute_script(
        """
        window.gains = [];
        const make = AudioContext.prototype.createGain;
        AudioContext.prototype.createGain = function () {
          const node = make.call(this);
          window.gains.push(node.gain);
          return node;
        };
        """
    )
    play(driver)
    for number in (1, 3):
        press(driver, str(number))
        time.sleep(0.2)
        gains = driver.execute_script("return window.gains.map((gain) => gain.value)")
        up = [place for place, gain in enumerate(gains) if gain > 0.01]
        assert up == [number - 1]


def test_the_end_is_the_end(driver: "WebDriver") -> None:
    driver.execute_script(
        """
        const slider = document.querySelector("#player-1 [data-do=seek]");
        slider.value = 2.8;
        slider.dispatchEvent(new Event("input", {bubbles: true}));
        """
    )
    assert position(driver) == pytest.approx(2.8)
    find(driver, ".play").click()
    playing(driver, 2.8)
    wait_for(driver, "document.getElementById('player-1').dataset.state === 'stopped'")
    assert position(driver) == 0


def test_a_click_on_a_spectrogram_goes_there_and_dragging_repeats(driver: "WebDriver") -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    picture = find(driver, '[data-track="2"] .picture')
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    width = picture.size["width"]
    ActionChains(driver).move_to_element_with_offset(picture, round(width / 4), 0).click().perform()
    assert position(driver) == pytest.approx(2.25, abs=0.03)
    assert state(driver)["heard"] == "copy synthesis"
    (
        ActionChains(driver)
        .move_to_element_with_offset(picture, round(-width / 4), 0)
        .click_and_hold()
        .move_by_offset(round(width / 10), 0)
        .release()
        .perform()
    )
    assert find(driver, "[data-do=loop]").get_attribute("aria-pressed") == "true"
    assert position(driver) == pytest.approx(0.75, abs=0.03)
    play(driver)
    seen = set()
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        seen.add(position(driver))
    assert 0.7 <= min(seen) <= max(seen) <= 1.1
    assert len(seen) > 3


def test_another_player_stops_the_first(driver: "WebDriver") -> None:
    play(driver)
    driver.execute_script("document.querySelector('#player-2 .play').click()")
    wait_for(driver, "document.getElementById('player-2').dataset.state === 'playing'")
    assert state(driver)["state"] == "stopped"


def test_the_blind_test_hides_names_counts_and_reveals(driver: "WebDriver") -> None:
    find(driver, "[data-do=blind]").click()
    find(driver, "[data-do=begin]").click()
    assert not find(driver, ".tracks").is_displayed()
    assert state(driver)["heard"] == "A"
    press(driver, " ")
    press(driver, "3")
    assert state(driver)["heard"] == "X"
    score = find(driver, ".trial .score")
    answers = 0
    for letter in "ABBA":
        find(driver, f'[data-do=answer][data-letter="{letter}"]').click()
        answers += 1
        assert re.search(rf"^(Right|Wrong): X was [AB]\. \d of {answers} right", score.text)
    right = int(re.findall(r"(\d) of 4 right", score.text)[0])
    expected = {0: 1.0, 1: 15 / 16, 2: 11 / 16, 3: 5 / 16, 4: 1 / 16}[right]
    told = float(re.findall(r"p = ([\d.]+)", score.text)[0].rstrip("."))
    assert told == pytest.approx(expected, abs=0.0006)
    find(driver, "[data-do=reveal]").click()
    named = re.findall(r"[AB] was ([a-z ]+)[,.]", score.text)
    assert sorted(named) == ["dual learning", "supervised"]
    assert not find(driver, "[data-do=answer]").is_enabled()
    find(driver, "[data-do=reveal]").click()
    assert find(driver, ".tracks").is_displayed()


def test_the_same_sound_twice_is_no_blind_test(driver: "WebDriver") -> None:
    find(driver, "[data-do=blind]").click()
    driver.execute_script(
        "for (const name of ['first', 'second'])"
        " document.querySelector(`#player-1 [data-do=${name}]`).value = '1'"
    )
    find(driver, "[data-do=begin]").click()
    assert find(driver, ".trouble").text == "Choose two different sounds."


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_is_wider_than_the_screen(driver: "WebDriver", width: int) -> None:
    set_size(driver, width, 740)
    assert beyond_the_screen(driver) == []


def test_names_are_text_however_long_and_hostile(driver: "WebDriver", tmp_path: Path) -> None:
    evil = "'\"><img src=x onerror=\"document.title='hit'\">"
    label = f"{evil}{'w' * (80 - len(evil))}"
    folder = make_outcome(
        tmp_path, restorers=("input", label), conditions={"hiss": "noise"}, pieces=1, seconds=0.6
    )
    results = folder / RESULTS_NAME
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    for line in lines:
        line["file"] = f"{line['file']}{evil}</script>\u202e\u97f3{'w' * 200}"
        line["speaker"] = line["corpus"] = f"{evil}{'w' * 80}"
    results.write_text("".join(json.dumps(line) + "\n" for line in lines))
    driver.get(reports.write(folder)[1].as_uri())
    assert "hit" not in driver.title
    assert driver.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    play(driver)
    find(driver, ".track:last-child .name").click()
    assert state(driver)["heard"] == label
    set_size(driver, 360, 740)
    assert beyond_the_screen(driver) == []


def beyond_the_screen(driver: "WebDriver") -> list[str]:
    """What is cut off at the right with everything open, besides what can be scrolled."""
    driver.execute_script(
        "document.querySelectorAll('details').forEach((one) => { one.open = true; });"
        "document.querySelectorAll('[data-do=blind]').forEach((one) => one.click());"
    )
    wide, width = driver.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    cut: list[str] = driver.execute_script(
        """
        const inside = (one) => one.closest(".scroll, pre, .unseen, svg");
        return [...document.querySelectorAll("body *")]
          .filter((one) => !inside(one) && one.getBoundingClientRect().right > innerWidth + 1)
          .map((one) => one.outerHTML.slice(0, 80));
        """
    )
    return cut if wide == width else [*cut, f"{wide} of {width}"]


def test_every_control_is_reached_by_tab_and_seen(driver: "WebDriver") -> None:
    from selenium.webdriver.common.keys import Keys

    expected = driver.execute_script(
        """
        let count = 0;
        const controls = "a[href], button, input, select, summary, [tabindex]";
        for (const one of document.querySelectorAll(controls)) {
          if (one.checkVisibility()) one.dataset.number = count++;
        }
        return count;
        """
    )
    reached: dict[str, bool] = {}
    for _ in range(expected):
        press(driver, Keys.TAB)
        number, seen = driver.execute_script(
            """
            const one = document.activeElement;
            const style = getComputedStyle(one);
            const width = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
            return [one.dataset.number, width >= 2];
            """
        )
        reached[number] = seen
    assert len(reached) == expected > 30
    assert all(reached.values())


CONTRAST = """
const channel = (value) => {
  const share = value / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
};
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([red, green, blue]) =>
  0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
const behind = (one) => {
  for (let at = one; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.length === 3 || colour[3] === 1) return colour;
  }
  return [255, 255, 255];
};
const found = [];
for (const one of document.querySelectorAll("body *")) {
  const own = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  if (!own || !one.checkVisibility() || one.disabled) continue;
  if (one.closest(".unseen, script, option")) continue;
  const style = getComputedStyle(one);
  const text = one.namespaceURI.endsWith("svg") ? style.fill : style.color;
  const pair = [light(parse(text)), light(behind(one))].sort((a, b) => b - a);
  const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
  if (ratio < 4.5) found.push([one.outerHTML.slice(0, 80), ratio]);
}
return found;
"""


def test_text_stands_out_by_day_and_by_night(driver: "WebDriver") -> None:
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        driver.execute_script(
            "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
        )
        assert driver.execute_script(CONTRAST) == []
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def test_a_link_to_a_worst_file_opens_its_player(driver: "WebDriver") -> None:
    driver.execute_script("location.hash = document.querySelector('#worst .player').id")
    wait_for(driver, "document.querySelector('#worst .player').checkVisibility()")
