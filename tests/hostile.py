"""Files made to do harm where they are read: checkpoints, bundles, profiles, YAML, manifests.

A maker of models and of YAML is given the path to write, a bundle that is whole, and a canary:
the path of a file that is there once anything in the hostile file has been executed.
"""

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from selfremaster.core.tensorfiles import (
    NOTES_KEY,
    STATE_KEY,
    content_hash,
    read_tensors,
    write_tensors,
)

Maker = Callable[[Path, Path, Path], None]
DEEP = 100_000


class Writing:
    """Writes the canary where it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return Path.write_text, (self.canary, "executed")


class Rebuilt(NamedTuple):
    """A tensor that claims to be another than its storage of four numbers."""

    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def __reduce__(self) -> Any:
        storage = torch.storage.TypedStorage(
            wrap_storage=torch.zeros(4).untyped_storage(), dtype=torch.float32, _internal=True
        )
        given = (storage, self.offset, self.size, self.stride, False, OrderedDict())
        return torch._utils._rebuild_tensor_v2, given


def checkpoint(canary: Path) -> dict[str, Any]:
    """Tensors, and beside them what executes."""
    return {"state_dict": {"a": torch.ones(1)}, "callbacks": Writing(canary)}


# what torch writes


def reduced(path: Path, whole: Path, canary: Path) -> None:
    torch.save(checkpoint(canary), path)


def reduced_before_zip(path: Path, whole: Path, canary: Path) -> None:
    torch.save(checkpoint(canary), path, _use_new_zipfile_serialization=False)


def bare_pickle(path: Path, whole: Path, canary: Path) -> None:
    path.write_bytes(pickle.dumps(checkpoint(canary)))


def old_tar(path: Path, whole: Path, canary: Path) -> None:
    with tarfile.open(path, "w:") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors", "../../escaped"):
            data = pickle.dumps(Writing(canary))
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


def script(path: Path, whole: Path, canary: Path) -> None:
    """What `torch.jit.save` writes, with a pickle that executes."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl"):
            archive.writestr(f"a/{name}", pickle.dumps(Writing(canary), protocol=2))
        archive.writestr("a/code/__torch__.py", f"open({str(canary)!r}, 'w')")
        archive.writestr("a/version", "3\n")


def packed(path: Path, whole: Path, canary: Path) -> None:
    """A bomb: 128 MiB in 128 KiB, and more where that comes from."""
    torch.save({"state_dict": {"a": torch.zeros(4)}}, path)
    with zipfile.ZipFile(path) as opened:
        members = {one.filename: opened.read(one) for one in opened.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            with archive.open(name, "w") as member:
                for _ in range(128 if name.endswith("data/0") else 0):
                    member.write(bytes(1 << 20))
                member.write(content)


def overlapping(path: Path, whole: Path, canary: Path) -> None:
    """An archive whose parts all lie in one place, a thousand times as large as the file."""
    torch.save({"state_dict": {"a": torch.zeros(1 << 16)}}, path)
    with zipfile.ZipFile(path, "a") as archive:
        largest = max(archive.infolist(), key=lambda one: one.file_size)
        for number in range(1000):
            again = zipfile.ZipInfo(f"{largest.filename[:-1]}{number + 1}")
            for name in ("header_offset", "CRC", "compress_size", "file_size"):
                setattr(again, name, getattr(largest, name))
            archive.filelist.append(again)
        archive._didModify = True  # type: ignore[attr-defined]  # the list is written at the end


def nested(path: Path, whole: Path, canary: Path) -> None:
    """An archive in an archive in an archive, and at its heart what executes."""
    inner = io.BytesIO()
    torch.save(checkpoint(canary), inner)
    for _ in range(3):
        outer = io.BytesIO()
        with zipfile.ZipFile(outer, "w") as archive:
            archive.writestr("archive/data.pkl", inner.getvalue())
            archive.writestr("../../escaped.ckpt", inner.getvalue())
        inner = outer
    path.write_bytes(inner.getvalue())


def linked(path: Path, whole: Path, canary: Path) -> None:
    """An archive in which the pickle is a link out of it."""
    (path.parent / "secret.pkl").write_bytes(pickle.dumps(Writing(canary)))
    link = zipfile.ZipInfo("archive/data.pkl")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(link, str(path.parent / "secret.pkl"))
        archive.writestr("archive/version", "3\n")


def told_twice(path: Path, whole: Path, canary: Path) -> None:
    """Two pickles of one name: who lists the first may load the second."""
    torch.save({"state_dict": {"a": torch.ones(1)}}, path)
    with zipfile.ZipFile(path, "a") as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        info = zipfile.ZipInfo(name)
        archive.NameToInfo.pop(name)
        archive.writestr(info, pickle.dumps(checkpoint(canary), protocol=2))


def too_large_a_shape(path: Path, whole: Path, canary: Path) -> None:
    torch.save({"state_dict": {"a": Rebuilt(0, (10**11,), (1,))}}, path)


def before_its_storage(path: Path, whole: Path, canary: Path) -> None:
    torch.save({"state_dict": {"a": Rebuilt(-8, (2,), (1,))}}, path)


def behind_its_storage(path: Path, whole: Path, canary: Path) -> None:
    torch.save({"state_dict": {"a": Rebuilt(1 << 40, (2,), (1,))}}, path)


def backwards(path: Path, whole: Path, canary: Path) -> None:
    torch.save({"state_dict": {"a": Rebuilt(3, (4,), (-1,))}}, path)


def one_number_repeated(path: Path, whole: Path, canary: Path) -> None:
    """10^12 numbers that take four bytes, until somebody copies them."""
    torch.save({"state_dict": {"encoder.a": Rebuilt(0, (10**6, 10**6), (0, 0))}}, path)


def cut_storage(path: Path, whole: Path, canary: Path) -> None:
    """Tensors whose storage is shorter in the archive than the pickle says."""
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, path)
    with zipfile.ZipFile(path) as opened:
        members = {one.filename: opened.read(one) for one in opened.infolist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content[:8] if name.endswith("data/0") else content)


# safetensors


def frame(path: Path, listed: Any, data: bytes = b"", length: int | None = None) -> None:
    """A safetensors file of any header."""
    text = (listed if isinstance(listed, str) else json.dumps(listed)).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def tensor(*offsets: int, dtype: str = "F32", shape: Any = (1,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def header_behind_the_end(path: Path, whole: Path, canary: Path) -> None:
    frame(path, {"a": tensor(0, 4)}, bytes(4), length=1 << 62)


def header_of_nothing(path: Path, whole: Path, canary: Path) -> None:
    frame(path, "", bytes(64))


def overlapping_tensors(path: Path, whole: Path, canary: Path) -> None:
    frame(path, {"a": tensor(0, 8, shape=(2,)), "b": tensor(4, 12, shape=(2,))}, bytes(12))


def negative_offsets(path: Path, whole: Path, canary: Path) -> None:
    frame(path, {"a": tensor(-4, 0)}, bytes(4))


def offsets_behind_the_end(path: Path, whole: Path, canary: Path) -> None:
    frame(path, {"a": tensor(0, 1 << 40, shape=(1 << 38,))}, bytes(4))


def a_shape_that_overflows(path: Path, whole: Path, canary: Path) -> None:
    frame(path, {"a": tensor(0, 4, shape=(1 << 33, 1 << 33, 1 << 33))}, bytes(4))


def a_name_twice(path: Path, whole: Path, canary: Path) -> None:
    one = json.dumps(tensor(0, 4))
    frame(path, f'{{"a": {one}, "a": {one}}}', bytes(4))


def an_unknown_type(path: Path, whole: Path, canary: Path) -> None:
    frame(path, {"a": tensor(0, 4, dtype="os.system")}, bytes(4))


def an_odd_type(path: Path, whole: Path, canary: Path) -> None:
    frame(path, {"a": tensor(0, 4, dtype="F8_E4M3", shape=(4,))}, bytes(4))


def a_deep_header(path: Path, whole: Path, canary: Path) -> None:
    frame(path, "[" * DEEP + "]" * DEEP)


def a_long_header(path: Path, whole: Path, canary: Path) -> None:
    frame(path, json.dumps({NOTES_KEY: {STATE_KEY: "x" * (20 << 20)}}))


def with_holes(path: Path, whole: Path, canary: Path) -> None:
    """A file of a tebibyte that takes no room on the disk."""
    size = 1 << 40
    frame(path, {"a": tensor(0, size, shape=(size // 4,))})
    os.truncate(path, path.stat().st_size + size)


def safetensors_and_zip(path: Path, whole: Path, canary: Path) -> None:
    """Safetensors from its beginning, and from its end a checkpoint of torch that executes."""
    archive = io.BytesIO()
    torch.save(checkpoint(canary), archive)
    path.write_bytes(whole.read_bytes() + archive.getvalue())


def zip_and_safetensors(path: Path, whole: Path, canary: Path) -> None:
    """A checkpoint of torch, in whose closing words a bundle lies."""
    torch.save(checkpoint(canary), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = whole.read_bytes()[: 1 << 15]


# bundles, whose hash is right where nothing else is said


def with_header(whole: Path, path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    tensors, header = read_tensors(whole)
    change(header)
    write_tensors(path, tensors, header)


def with_state(whole: Path, path: Path, text: str) -> None:
    save_file(load_file(whole), path, {STATE_KEY: text})


def of_another_hash(path: Path, whole: Path, canary: Path) -> None:
    with safe_open(whole, framework="pt") as opened:
        header = json.loads(opened.metadata()[STATE_KEY])
    with_state(whole, path, json.dumps({**header, "sha256": "0" * 64}))


def a_deep_state(path: Path, whole: Path, canary: Path) -> None:
    with_state(whole, path, '{"format": 1, "kind": ' + "[" * DEEP + "]" * DEEP + "}")


def a_key_twice(path: Path, whole: Path, canary: Path) -> None:
    with_state(whole, path, '{"format": 1, "kind": "bundle", "kind": "checkpoint"}')


def a_long_kind(path: Path, whole: Path, canary: Path) -> None:
    with_header(whole, path, lambda header: header.update(kind="\x1b[2J\n" + "tape" * 10**5))


def no_numbers(path: Path, whole: Path, canary: Path) -> None:
    tensors, header = read_tensors(whole)
    for name, wrong in zip(sorted(tensors), (float("nan"), float("inf")), strict=False):
        if tensors[name].is_floating_point():
            tensors[name] = torch.full_like(tensors[name], wrong)
    write_tensors(path, tensors, header)


def _model(header: dict[str, Any], **changes: Any) -> None:
    header["experiment"]["model"].update(changes)


def too_many_weights(path: Path, whole: Path, canary: Path) -> None:
    """Settings of a network of terabytes beside the weights of a small one."""
    wide = {"name": "unet2d", "widths": [4096] * 8, "branch_widths": [4096] * 4}
    with_header(whole, path, lambda header: _model(header, analyzer=wide))


def too_many_layers(path: Path, whole: Path, canary: Path) -> None:
    long = {"name": "unet2d", "widths": [1] * 200_000, "branch_widths": [1]}
    with_header(whole, path, lambda header: _model(header, analyzer=long))


def a_part_by_its_path(path: Path, whole: Path, canary: Path) -> None:
    named = {"name": "os:system", "command": f"touch {canary}"}
    with_header(whole, path, lambda header: _model(header, vocoder=named))


def parts_in_parts(path: Path, whole: Path, canary: Path) -> None:
    given: Any = "griffin-lim"
    for _ in range(900):
        given = {"name": "blend", "of": given}
    with_header(whole, path, lambda header: _model(header, output=given))


def thousands_of_settings(path: Path, whole: Path, canary: Path) -> None:
    odd = {f"\x1b[31m{number} {'o' * 50}": number for number in range(20_000)}
    with_header(whole, path, lambda header: header["experiment"].update(odd))


def thousands_of_weights(path: Path, whole: Path, canary: Path) -> None:
    tensors, header = read_tensors(whole)
    odd = {f"{number}\n{'o' * 500}": torch.zeros(1) for number in range(2000)}
    write_tensors(path, {**tensors, **odd}, header)


def a_hash_of_its_own_choice(path: Path, whole: Path, canary: Path) -> None:
    """Tensors of no number at all, under a hash that is right."""
    header: dict[str, Any] = {"format": 1, "kind": "bundle", "experiment": {}}
    tensors = {"a": torch.zeros(0, 1 << 40)}
    header["sha256"] = content_hash(tensors, header)
    save_file(tensors, path, {STATE_KEY: json.dumps(header)})


def endless(path: Path, whole: Path, canary: Path) -> None:
    path.symlink_to("/dev/zero")


def a_link_to_itself(path: Path, whole: Path, canary: Path) -> None:
    path.symlink_to(path.name)


TORCH: tuple[Maker, ...] = (
    reduced,
    reduced_before_zip,
    bare_pickle,
    old_tar,
    script,
    packed,
    overlapping,
    nested,
    linked,
    told_twice,
    too_large_a_shape,
    before_its_storage,
    behind_its_storage,
    backwards,
    one_number_repeated,
    cut_storage,
    zip_and_safetensors,
)
FRAMES: tuple[Maker, ...] = (
    header_behind_the_end,
    header_of_nothing,
    overlapping_tensors,
    negative_offsets,
    offsets_behind_the_end,
    a_shape_that_overflows,
    a_name_twice,
    an_unknown_type,
    an_odd_type,
    a_deep_header,
    a_long_header,
    with_holes,
    safetensors_and_zip,
    endless,
    a_link_to_itself,
)
BUNDLES: tuple[Maker, ...] = (
    of_another_hash,
    a_deep_state,
    a_key_twice,
    a_long_kind,
    no_numbers,
    too_many_weights,
    too_many_layers,
    a_part_by_its_path,
    parts_in_parts,
    thousands_of_settings,
    thousands_of_weights,
    a_hash_of_its_own_choice,
)
WHOLE_MODULES = (parts_in_parts, thousands_of_weights)
"""Bundles that training may start from, since it takes nothing but modules that are whole."""

MODELS = (*TORCH, *FRAMES, *BUNDLES)
SUFFIXES = {**dict.fromkeys(TORCH, ".ckpt"), **dict.fromkeys((*FRAMES, *BUNDLES), ".safetensors")}


def make(maker: Maker, folder: Path, whole: Path) -> tuple[Path, Path]:
    """The hostile file, and the canary that must not be."""
    path, canary = folder / f"hostile{SUFFIXES.get(maker, '')}", folder / "canary"
    maker(path, whole, canary)
    return path, canary


# text

LAUGHS = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]\n" for n in range(1, 12))
MERGES = "".join(f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}\n" for n in range(1, 40))

YAML: dict[str, str] = {
    "a call": "name: !!python/object/apply:pathlib.Path.write_text [{canary}, x]\n",
    "a call of the system": "name: !!python/object/apply:os.system ['touch {canary}']\n",
    "a module": "name: !!python/module:antigravity\n",
    "an object": "name: !!python/object/new:type [a, [], {}]\n",
    "a function": "model: {vocoder: !!python/name:os.system}\n",
    "ten to the eleventh": "l0: &l0 [lol]\n" + LAUGHS + "objective: *l11\n",
    "in a part": "l0: &l0 [lol]\n" + LAUGHS + "model: {vocoder: {name: hifigan, a: *l11}}\n",
    "merged": "m0: &m0 {a: 1}\n" + MERGES,
    "an anchor in itself": "model: &a {vocoder: *a}\n",
    "a list in itself": "objective: &a [*a]\n",
    "deep": "model: " + "[" * 3000 + "]" * 3000 + "\n",
    "deeper than Python": "model: " + "{a: " * DEEP + "\n",
    "deep by lines": "".join(f"{' ' * n}a:\n" for n in range(400)),
    "a key twice": "name: a\nname: b\n",
    "a key twice below": "train:\n  steps: 1\n  steps: 100000\n",
    "long": "# " + "x" * (2 << 20) + "\n",
    "a number of a million digits": f"seed: {'9' * 10**6}\n",
    "no date": "name: 2024-13-45\n",
    "a part by its path": "model: {vocoder: 'os:system'}\n",
    "no text": "name: \x00\x01\n",
    "several documents": "name: a\n---\nname: b\n",
}

NESTED = "[" * 3000 + "]" * 3000
PROFILES: dict[str, Callable[[str], str]] = {
    "deep": lambda text: "[" * DEEP + "]" * DEEP,
    "deep in a field": lambda text: text.replace(
        '"name"', f'"odd": {"[" * 3000}{"]" * 3000}, "name"'
    ),
    "a key twice": lambda text: text.replace('"format"', '"kind": "spectrum", "format"', 1),
    "long": lambda text: f'{{"values": [{"1," * (9 << 20)}1]}}',
    "no number": lambda text: text.replace('"spread": [', '"spread": [NaN, '),
    "without end": lambda text: text.replace('"values": [', '"values": [1e999, '),
    "too many digits": lambda text: text.replace('"values": [', f'"values": [{"9" * 5000}, '),
    "too large": lambda text: text.replace('"values": [', '"values": [1e300, '),
    "words": lambda text: text.replace('"values": [', '"values": ["os.system", '),
    "a list": lambda text: f"[{text}]",
    "of another model": lambda text: text.replace('"kind": "channel"', '"kind": "os:system"'),
    "fewer values": lambda text: text.replace('"values": [', '"values": [0.5], "more": ['),
    "empty": lambda text: "",
    "half": lambda text: text[: len(text) // 2],
    "no text": lambda text: "\x00" * 100,
}
