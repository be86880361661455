"""The page of serve in a real browser: brought, restored, heard, taken away."""

import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from selfremaster.core import audio
from selfremaster.core.profiles import ChannelProfile
from tests.browser import browser, complaints, needs_browser, set_size
from tests.cli import run, write_tiny_bundle, write_tone
from tests.served import served

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

pytestmark = needs_browser

PATIENCE_SECONDS = 120
HARMLESS = "Method not implemented"  # gradio's own, about a table
SOURCES = "return performance.getEntriesByType('resource').map(one => one.name)"
WIDTH = "return document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bundle(tmp_path_factory.mktemp("model") / "model.safetensors")


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the server keeps its files."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def driver(bundle: Path, downloads: Path, folder: Path) -> Iterator["WebDriver"]:
    with (
        served(folder, "--model", f"tiny={bundle}") as address,
        browser(1280, 1600, downloads=downloads, network=True, microphone=True) as opened,
    ):
        opened.get(address)
        wait_for(opened, "#restore")
        yield opened


def wait_for(driver: "WebDriver", selector: str) -> Any:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        for found in driver.find_elements("css selector", selector):
            if found.is_displayed():
                return found
        time.sleep(0.2)
    pytest.fail(f"no {selector} on the page: {driver.find_element('css selector', 'body').text}")


def wait_until(true: Callable[[], object], what: str) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < until, f"{what} does not come"
        time.sleep(0.2)


def brought(driver: "WebDriver", place: int, *paths: Path) -> None:
    """Hand files to one of the fields of the page, and wait until they are there."""
    field = driver.find_elements("css selector", "input[type=file]")[place]
    field.send_keys("\n".join(map(str, paths)))
    beginnings = [path.stem.lstrip("<").partition("=")[0] for path in paths]  # the rest is cleaned
    until = time.monotonic() + PATIENCE_SECONDS
    while any(beginning not in driver.page_source for beginning in beginnings):
        assert time.monotonic() < until, beginnings
        time.sleep(0.2)
    time.sleep(1)  # the page enables its button a moment after it shows the name


def test_recordings_are_restored_heard_and_taken_away(
    driver: "WebDriver", bundle: Path, downloads: Path, tmp_path: Path
) -> None:
    good = write_tone(tmp_path / "tape.wav", samples=22050)
    bad = tmp_path / "letter.wav"
    bad.write_text("Dear sir")
    odd = write_tone(tmp_path / "<img src=x onerror=document.title=1>.wav")
    brought(driver, 0, good, bad, odd)
    driver.find_element("css selector", "#restore").click()
    wait_for(driver, "#restore-zip").click()
    told = driver.find_element("css selector", "#restore-told").text
    assert "NOT DONE: not audio, or damaged" in " ".join(told.split())
    assert "img src-x onerror-document" in told
    assert driver.title == "selfremaster"  # what a name says is not done
    wait_for(driver, "#restore-before button[aria-label='Play']")
    wait_for(driver, "#restore-after button[aria-label='Play']")
    assert wait_for(driver, "#restore-picture img").get_attribute("naturalWidth") > "0"
    packed = downloads / "restored.zip"
    until = time.monotonic() + PATIENCE_SECONDS
    while not packed.exists() and time.monotonic() < until:
        time.sleep(0.2)
    target = tmp_path / "by-command.wav"
    done = run("restore", good, "--output", target, "--model", bundle, "--device", "cpu")
    assert done.code == 0
    with zipfile.ZipFile(packed) as archive:
        assert len(archive.namelist()) == 2
        assert archive.read("tape.wav") == target.read_bytes()


def test_the_sound_of_a_recording_is_put_on(driver: "WebDriver", tmp_path: Path) -> None:
    driver.find_elements("css selector", "button[role=tab]")[1].click()
    wait_for(driver, "#transfer")
    fields = driver.find_elements("css selector", "input[type=file]")
    shown = [place for place, field in enumerate(fields) if field.get_attribute("multiple")]
    brought(driver, shown[1], write_tone(tmp_path / "clean.wav"))
    brought(driver, shown[2], write_tone(tmp_path / "old.wav"))
    driver.find_element("css selector", "#transfer").click()
    wait_for(driver, "#transfer-zip")
    wait_for(driver, "#transfer-after button[aria-label='Play']")
    assert wait_for(driver, "#transfer-picture img").get_attribute("naturalWidth") > "0"


def test_a_kept_sound_is_taken_away_and_brought_again(
    driver: "WebDriver", downloads: Path, tmp_path: Path
) -> None:
    """After the test above: its files are still there."""
    driver.find_element("css selector", "#profile").click()
    wait_for(driver, "a[href$='sound.json']").click()
    kept = downloads / "sound.json"
    wait_until(kept.exists, "the profile")
    assert ChannelProfile.load(kept).sources[0].file == "old.wav"
    fields = driver.find_elements("css selector", "input[type=file]")
    takes = [field.get_attribute("accept") or "" for field in fields]
    (place,) = [place for place, accept in enumerate(takes) if "json" in accept]
    brought(driver, place, kept)
    made = driver.find_element("css selector", "#transfer-after").get_attribute("innerHTML")
    driver.find_element("css selector", "#transfer").click()
    wait_until(
        lambda: (
            driver.find_element("css selector", "#transfer-after").get_attribute("innerHTML")
            != made
        ),
        "another result",
    )
    wait_for(driver, "#transfer-after button[aria-label='Play']")


def test_nothing_is_asked_of_others_and_nothing_complained_about(driver: "WebDriver") -> None:
    """After all that was done on the page; leaving it may break off what it reads."""
    sources = driver.execute_script(SOURCES)
    assert len(sources) > 5
    assert [one for one in sources if "://127.0.0.1:" not in one] == []
    assert [one for one in complaints(driver) if HARMLESS not in one["message"]] == []


def test_what_is_spoken_is_restored(
    driver: "WebDriver", folder: Path, downloads: Path, tmp_path: Path
) -> None:
    driver.refresh()
    wait_for(driver, "button.record-button").click()
    stop = wait_for(driver, "button.stop-button")
    time.sleep(2.5)
    stop.click()
    wait_until(lambda: [*folder.glob("selfremaster-page-*/page/*/audio.wav")], "the recording")
    time.sleep(1)
    driver.find_element("css selector", "#restore").click()
    wait_for(driver, "#restore-after button[aria-label='Play']")
    spoken, restored = (
        next(folder.glob(f"selfremaster-page-*/page/{place}/audio.wav"))
        for place in ("*/inputs", "*/restored")
    )
    before, rate = audio.read(spoken)
    after, _ = audio.read(restored)
    assert before.shape == after.shape
    assert before.shape[1] > rate
    assert min(before.abs().max(), after.abs().max()) > 0.01  # it beeps


def test_stop_leaves_what_is_done_and_lets_go_on(driver: "WebDriver", tmp_path: Path) -> None:
    driver.refresh()
    wait_for(driver, "#restore")
    complaints(driver)
    paths = [write_tone(tmp_path / f"tape-{place}.wav", 40 * 22050) for place in range(4)]
    brought(driver, 0, *paths)
    driver.find_element("css selector", "#restore").click()
    told = driver.find_element("css selector", "#restore-told")
    wait_until(lambda: "tape-0.wav" in told.text, "the first result")
    driver.find_element("css selector", "#stop").click()
    time.sleep(3)
    assert "tape-3.wav" not in told.text
    driver.find_element("css selector", "#restore").click()
    wait_until(lambda: "tape-3.wav" in told.text, "all results")
    assert [one for one in complaints(driver) if HARMLESS not in one["message"]] == []


def test_who_leaves_leaves_nothing(driver: "WebDriver", folder: Path, tmp_path: Path) -> None:
    """What was brought and made goes with its visitor, and nothing that is another's."""

    def kept() -> set[str]:
        return {path.name for path in folder.glob("selfremaster-page-*/page/**/*.wav")}

    address, first = driver.current_url, driver.current_window_handle
    driver.refresh()
    wait_for(driver, "#restore")
    brought(driver, 0, write_tone(tmp_path / "mine.wav"))
    driver.switch_to.new_window("tab")
    driver.get(address)
    wait_for(driver, "#restore")
    brought(driver, 0, write_tone(tmp_path / "theirs.wav", samples=20000))
    driver.find_element("css selector", "#restore").click()
    wait_for(driver, "#restore-zip")
    assert {"mine.wav", "theirs.wav", "after-theirs.wav.heard.wav"} <= kept()
    driver.close()
    driver.switch_to.window(first)
    until = time.monotonic() + PATIENCE_SECONDS
    while kept() != {"mine.wav"}:
        assert time.monotonic() < until, kept()
        time.sleep(0.2)
    driver.get("about:blank")
    while any(folder.glob("selfremaster-page-*/page/*")):
        assert time.monotonic() < until
        time.sleep(0.2)
    driver.get(address)


def test_it_fits_a_telephone(driver: "WebDriver") -> None:
    set_size(driver, 390, 800)
    driver.refresh()
    wait_for(driver, "#restore")
    assert driver.execute_script(WIDTH) <= 390
