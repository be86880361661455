"""The same results on a Ray cluster, whatever becomes of its machines."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from selfremaster.core import clusters
from selfremaster.core.crews import Care
from selfremaster.core.errors import ComponentError, SelfRemasterError
from selfremaster.core.ledgers import LEDGER_NAME
from tests import buckets
from tests.cli import ROOT, left_behind, run, write_tiny_bundle
from tests.odd_speakers import installed, write_tapes

LONG = "SELFREMASTER_CLUSTER"
SPEAKER = ("--vocoder", "odd-speaker")
WAITS = 180  # seconds, which a machine that is busy otherwise may take for what takes ten
STORE_BYTES = 80 * 2**20

long = pytest.mark.skipif(LONG not in os.environ, reason=f"takes minutes; set {LONG}=1")


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Path]:
    """The stranger's plugin, and where its vocoder tells what it does."""
    with installed(tmp_path / "plugin") as told:
        yield told


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_tiny_bundle(tmp_path / "tiny.safetensors")


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in left_behind(folder)}


def outputs(folder: Path) -> list[str]:
    """What the record tells to be done."""
    told = map(json.loads, (folder / LEDGER_NAME).read_text().splitlines())
    return sorted(entry["output"] for entry in told if "output" in entry)


def is_there(text: str) -> bool:
    try:
        os.kill(int(text), 0)
    except ProcessLookupError:
        return False
    return True


def until(true: Any, what: str) -> None:
    """Wait until something is true."""
    end = time.monotonic() + WAITS
    while not true():
        assert time.monotonic() < end, f"{what} does not come"
        time.sleep(0.1)


@contextmanager
def one_machine() -> Iterator[Any]:
    """Ray on this machine, with one process."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
        object_store_memory=STORE_BYTES,
    )
    try:
        yield ray
    finally:
        ray.shutdown()


def check_who_never_begins(ray: Any, log: Path) -> None:
    """An agent is asked, and its process is ended there, before it has given any outcome."""
    endless = import_module("odd_speakers_plugin").Endless()
    care, asked = Care(begin_seconds=3), {"num_cpus": 1, "num_gpus": 0}
    with (
        clusters.crew_on_ray(ray, endless, 1, care, asked=asked) as crew,
        pytest.raises(SelfRemasterError, match=r"longer than 0\.05 minutes to begin"),
    ):
        crew.about()
    begun = log.read_text().split() if log.exists() else []
    until(lambda: not any(map(is_there, begun)), "the end of the process")


def test_ray_gives_the_same_bytes_and_a_process_that_ends_costs_its_file(
    log: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # which holds for the machines, too
    write_tapes(Path("tapes"), "plain", "plain")
    words = ("restore", "tapes", "--model", "tiny.safetensors", *SPEAKER)
    assert run(*words, "--output", "local", "--file-minutes", "0").code == 0
    write_tapes(Path("tapes"), "plain", "plain", "ending")
    with one_machine() as ray:
        told = run(*words, "--output", "ray", "--engine", "ray")
        assert "no machine of the cluster has a GPU" in (
            run(*words, "--output", "gpu", "--engine", "ray", "--device", "cuda").error
        )
        check_who_never_begins(ray, log)
    assert told.code == 1
    assert told.err.splitlines() == [
        "failed: tapes/2-ending.wav: vocoder 'odd-speaker' of odd-speakers 1.0 ended the process "
        "(EXIT(3)); try `selfremaster check`, or leave the plugin out",
        "error: 1 of 3 files failed, the others are done",
    ]
    assert told.out.splitlines() == [
        f"tapes/{name}.wav -> ray/{name}.wav" for name in ("0-plain", "1-plain")
    ]
    assert contents(Path("ray")) == contents(Path("local"))
    assert outputs(Path("ray")) == ["0-plain.wav", "1-plain.wav"]


def test_ray_works_from_bucket_to_bucket_at_the_address_of_who_asks(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tapes = write_tapes(tmp_path / "tapes", "plain", "plain")
    words = ("restore", "s3://archive/tapes", "--output", "s3://other/new", "--model", bundle)
    assert run("restore", tapes, "--output", tmp_path / "here", "--model", bundle).code == 0
    with contextmanager(buckets.served)(monkeypatch) as server, ExitStack() as machines:
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        machines.enter_context(one_machine())  # with keys of its own
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
        server.forget()
        for name in left_behind(tapes):
            server.put("archive", f"tapes/{name}", (tapes / name).read_bytes())
        told = run(*words, "--engine", "ray")
        again = run(*words, "--engine", "ray", "--resume")
    assert (told.code, told.err) == (0, "")
    assert again.err == "2 of 2 files were done before\n"
    found = server.contents("other", "new/")
    assert {name: found[name] for name in found if name.endswith(".wav")} == {
        name: data for name, data in contents(tmp_path / "here").items() if name != LEDGER_NAME
    }


def test_without_ray_one_line_says_what_to_install(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    tapes = write_tapes(tmp_path / "tapes", "plain")
    words = ("restore", tapes, "--output", tmp_path / "new", "--model", bundle)
    error = run(*words, "--engine", "ray").error
    assert error == "error: --engine ray needs the package ray; pip install 'selfremaster[ray]'"
    assert not (tmp_path / "new").exists()


class FakeRay:
    """A cluster with so much."""

    def __init__(self, **there: float) -> None:
        self.there = there

    def cluster_resources(self) -> dict[str, float]:
        """All that there is."""
        return self.there


def test_what_is_asked_of_a_cluster_goes_by_the_device() -> None:
    both, processors = FakeRay(CPU=8.0, GPU=2.0), FakeRay(CPU=7.0)
    assert clusters.resources(both, "auto", 1) == {"num_cpus": 1, "num_gpus": 1}
    assert clusters.resources(both, "cuda", 1) == {"num_cpus": 1, "num_gpus": 1}
    assert clusters.resources(both, "cpu", 2) == {"num_cpus": 2, "num_gpus": 0}
    assert clusters.resources(processors, "auto", 1) == {"num_cpus": 1, "num_gpus": 0}
    with pytest.raises(ComponentError, match="has a GPU; take --device auto or cpu"):
        clusters.resources(processors, "cuda", 1)
    assert clusters.room_for(both, {"num_cpus": 1, "num_gpus": 1}) == 2
    assert clusters.room_for(processors, {"num_cpus": 2, "num_gpus": 0}) == 3
    assert clusters.room_for(FakeRay(), {"num_cpus": 1, "num_gpus": 0}) == 1


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_a_cluster_that_does_not_answer_is_one_line(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    with socket.socket() as taken:  # and nobody listens there
        taken.bind(("127.0.0.1", 0))
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv(clusters.RAY_ADDRESS, address)
        words = f"^--engine ray: RAY_ADDRESS={address} cannot be had .*; look at `ray status`$"
        with pytest.raises(SelfRemasterError, match=words), clusters.connected():
            pass


# a cluster of two machines, which takes minutes


@pytest.fixture
def cluster(log: Path) -> Iterator[Any]:
    """Two machines of one processor each, as Ray sees them; they know the plugin."""
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from ray.cluster_utils import Cluster

    del log
    size = {"num_cpus": 1, "object_store_memory": STORE_BYTES}
    made = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    made.add_node(**size)
    made.wait_for_nodes()
    yield made
    made.shutdown()


def begin(address: str, *words: object) -> "subprocess.Popen[str]":
    """The command in a process of its own, which finds the cluster by its variable."""
    return subprocess.Popen(
        [sys.executable, "-m", "selfremaster", *map(str, words), "--engine", "ray"],
        cwd=ROOT,
        env={**os.environ, "RAY_ADDRESS": address},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@long
def test_a_machine_that_is_lost_costs_no_file(
    cluster: Any, log: Path, bundle: Path, tmp_path: Path
) -> None:
    kinds = ("waiting", "waiting", *["plain"] * 4)
    tapes = write_tapes(tmp_path / "tapes", *kinds)
    words = ("restore", tapes, "--model", bundle, *SPEAKER)
    assert run(*words, "--output", tmp_path / "local", "--file-minutes", "0").code == 0
    log.unlink()
    gate = log.with_name("log.wait")
    gate.touch()
    batch = begin(cluster.address, *words, "--output", tmp_path / "ray")
    until(lambda: log.exists() and len(log.read_text().split()) == 2, "work on both machines")
    (node,) = [one for one in cluster.list_all_nodes() if one is not cluster.head_node]
    cluster.remove_node(node, allow_graceful=False)
    gate.unlink()
    out, err = batch.communicate(timeout=WAITS)
    assert (batch.returncode, err) == (0, ""), err
    assert len(out.splitlines()) == len(kinds)
    assert contents(tmp_path / "ray") == contents(tmp_path / "local")
    assert len(outputs(tmp_path / "ray")) == len(kinds)
    until(lambda: not any(map(is_there, log.read_text().split())), "the end of the processes")


@long
@pytest.mark.parametrize(
    ("number", "words"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM")]
)
def test_a_stop_leaves_nothing_half_written_on_any_machine(
    cluster: Any, log: Path, bundle: Path, tmp_path: Path, number: signal.Signals, words: str
) -> None:
    tapes = write_tapes(tmp_path / "tapes", "plain", "waiting", "waiting", "plain")
    log.with_name("log.wait").touch()
    new = tmp_path / "new"
    batch = begin(cluster.address, "restore", tapes, "--output", new, "--model", bundle, *SPEAKER)
    until(lambda: log.exists() and len(log.read_text().split()) == 2, "work on both machines")
    batch.send_signal(number)
    out, err = batch.communicate(timeout=WAITS)
    done = len(outputs(new))
    assert (batch.returncode, out) == (128 + number, "")
    assert err == f"{words}; {done} of 4 files are restored\n"
    assert left_behind(new) == outputs(new)
    until(lambda: not any(map(is_there, log.read_text().split())), "the end of the processes")


@long
def test_a_file_that_hangs_on_a_machine_is_ended_there(
    cluster: Any, log: Path, bundle: Path, tmp_path: Path
) -> None:
    tapes = write_tapes(tmp_path / "tapes", "hanging", "plain", "plain", "plain")
    words = ("restore", tapes, "--output", tmp_path / "new", "--model", bundle, *SPEAKER)
    batch = begin(cluster.address, *words, "--file-minutes", "0.5")
    _, err = batch.communicate(timeout=WAITS)
    assert batch.returncode == 1
    assert err.splitlines()[0] == (
        f"failed: {tapes}/0-hanging.wav: took longer than 0.5 minutes and was ended while vocoder "
        "'odd-speaker' of odd-speakers 1.0 was at work; give it more by --file-minutes, or 0 for "
        "no limit"
    )
    assert left_behind(tmp_path / "new") == [f"{number}-plain.wav" for number in (1, 2, 3)]
    until(lambda: not any(map(is_there, log.read_text().split())), "the end of the process")
