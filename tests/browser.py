"""A headless Chromium for tests of pages; they are skipped where there is none."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver.chrome.webdriver import WebDriver

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
DRIVER = shutil.which("chromedriver") or ""

_MISSING = [
    name
    for name, found in (
        ("chromium", CHROMIUM),
        ("chromedriver", DRIVER),
        ("the package selenium", importlib.util.find_spec("selenium")),
    )
    if not found
]
REASON = f"needs {' and '.join(_MISSING)}" if _MISSING else ""

MICROPHONE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")

needs_browser = pytest.mark.skipif(bool(_MISSING), reason=REASON)


@contextmanager
def browser(
    width: int = 1280,
    height: int = 900,
    *,
    dark: bool = False,
    reduced_motion: bool = False,
    downloads: str | os.PathLike[str] | None = None,
    network: bool = False,
    microphone: bool = False,
) -> Iterator["WebDriver"]:
    """A browser with a window of so many pixels, without a network; the test is skipped if none.

    Sound may start without a click. ``downloads`` is the folder that files are saved to. The
    ``microphone`` beeps every second, and nobody is asked whether it may be heard.
    """
    if _MISSING:
        pytest.skip(REASON)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        "--no-first-run",
        "--disable-background-networking",
        "--autoplay-policy=no-user-gesture-required",
        f"--window-size={width},{height}",
    ):
        options.add_argument(argument)
    for argument in MICROPHONE if microphone else ():
        options.add_argument(argument)
    if downloads is not None:
        options.add_experimental_option(
            "prefs",
            {"download.default_directory": str(downloads), "download.prompt_for_download": False},
        )
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        driver.set_script_timeout(20)
        set_size(driver, width, height)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {
                "name": "prefers-reduced-motion",
                "value": "reduce" if reduced_motion else "no-preference",
            },
        ]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        if not network:
            unplug(driver)
        yield driver
    finally:
        driver.quit()


def set_size(driver: "WebDriver", width: int, height: int) -> None:
    """Give the page so many pixels, also fewer than a window may have."""
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600},
    )


def unplug(driver: "WebDriver") -> None:
    """Take the network away; files of this machine can still be opened."""
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd(
        "Network.emulateNetworkConditions",
        {"offline": True, "latency": 0, "downloadThroughput": 0, "uploadThroughput": 0},
    )


def complaints(driver: "WebDriver") -> list[dict[str, Any]]:
    """What the console says that is worse than information, since it was last asked."""
    return [entry for entry in driver.get_log("browser") if entry["level"] in {"SEVERE", "WARNING"}]
