"""Nobody is asked on the network, unless an id of the Hub or a URL is given."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import ROOT, SPEECH

GUARD = """
import sys

FORBIDDEN = ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo",
             "socket.gethostbyname", "socket.gethostbyaddr", "urllib.Request",
             "http.client.connect", "ftplib.connect", "smtplib.connect")

def hear(event, arguments):
    loopback = event == "socket.bind" and arguments[1][0] in ("::1", "127.0.0.1")
    if event in FORBIDDEN and not loopback:  # which urllib3 tries for IPv6
        with open({log!r}, "a") as opened:
            opened.write(f"{{event}} {{arguments[1:]}}\\n")
        raise OSError("the network is forbidden here")

sys.addaudithook(hear)
"""


def without_network(folder: Path, code: str) -> str:
    """What Python prints where the network raises; whoever asks for it is found out."""
    log = folder / "asked.txt"
    quiet = {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_HUB_DISABLE_TELEMETRY"}
    told = subprocess.run(
        [sys.executable, "-c", GUARD.format(log=str(log)) + code],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in quiet},
        capture_output=True,
        text=True,
        check=False,
    )
    asked = log.read_text() if log.exists() else ""
    assert asked == ""
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_importing_everything_asks_nobody(tmp_path: Path) -> None:
    code = """
import importlib, pkgutil
import selfremaster
from selfremaster import *
for package in ("core", "registry", "plugins", "benchmarks", "commands"):
    found = importlib.import_module(f"selfremaster.{package}")
    for module in pkgutil.walk_packages(found.__path__, f"selfremaster.{package}."):
        if not module.name.endswith("__main__"):
            try:
                importlib.import_module(module.name)
            except ImportError:
                pass  # of an extra that is not installed
print(len([name for name in __import__("sys").modules if name.startswith("selfremaster.")]))
"""
    assert int(without_network(tmp_path, code)) > 150


def test_commands_ask_nobody(tmp_path: Path) -> None:
    sound = SPEECH.parent / "degraded" / "alder" / "alder-1.flac"
    code = f"""
from selfremaster.cli import main
for words in (
    ["--version"],
    ["list"],
    ["show", "vocoder", "istft"],
    ["doctor"],
    ["survey", {str(sound)!r}],
    ["restore", {str(sound)!r}, "--output", {str(tmp_path / "a.flac")!r}],
    ["degrade", {str(sound)!r}, "--output", {str(tmp_path / "b.flac")!r}, "--degradation", "clip"],
    ["profile", {str(sound)!r}, "--output", {str(tmp_path / "c.json")!r}],
    ["show", "bundle", "default"],
):
    print(words[0], main(words))
print([name for name in ("fsspec", "s3fs", "gcsfs", "aiohttp") if name in sys.modules])
"""
    told = without_network(tmp_path, code)
    for word in ("--version", "list", "show", "doctor", "survey", "restore", "degrade", "profile"):
        assert f"{word} 0\n" in told
    assert told.endswith("[]\n")  # what only URLs need


def test_who_asks_is_found_out(tmp_path: Path) -> None:
    code = """
import socket
try:
    socket.create_connection(("192.0.2.1", 80), timeout=0.1)
except OSError:
    pass
"""
    with pytest.raises(AssertionError, match=r"socket\.(connect|getaddrinfo)"):
        without_network(tmp_path, code)


def test_a_path_that_is_not_there_asks_nobody(tmp_path: Path) -> None:
    code = f"""
from selfremaster import BundleError, load
import os
os.chdir({str(tmp_path)!r})
os.mkdir("nowhere")
for text in ("nowhere/nothing.wav", "../a/b", "tapes", "/a/b/c.safetensors"):
    try:
        load(text)
    except BundleError as error:
        print(error)
"""
    assert without_network(tmp_path, code).count("no bundle") == 4
