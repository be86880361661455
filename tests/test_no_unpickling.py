"""Nothing of ours executes what it reads: no pickles, no YAML of Python's, no archives unpacked."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("core", "registry", "plugins", "benchmarks", "selfremaster/commands", "selfremaster/web")

MODULES = {"pickle", "_pickle", "cloudpickle", "dill", "shelve", "marshal", "jsonpickle"}
MODULES |= {"cloudpickle_wrapper"}  # of joblib's loky
"""What makes objects of text or bytes; importing it is asked for a reason."""

CALLS = {
    "eval",
    "exec",
    "compile",
    "os.system",
    "os.popen",
    "yaml.load",
    "yaml.load_all",
    "yaml.full_load",
    "yaml.unsafe_load",
    "joblib.load",
    "pandas.read_pickle",
    "torch.hub.load",
    "torch.hub.load_state_dict_from_url",
    "torch.jit.load",
    "torch.package.PackageImporter",
    "numpy.fromfile",
    "shutil.unpack_archive",
}
METHODS = {"extractall", "extract", "read_pickle", "add_safe_globals"}
"""What unpacks archives, whatever it is called on."""

GIVEN = {
    ("torch.load", "weights_only"): True,
    ("numpy.load", "allow_pickle"): False,
}
"""What a call has to be given, since it was not always the default."""

ALLOWED = {
    "core/workers.py: imports from joblib.externals.loky.cloudpickle_wrapper": "work and results "
    "go between a process and those that it began, here or on a cluster of its user",
    "registry/converting.py: imports pickle": "names an error that torch raises",
}
SHORT = {"np": "numpy", "pd": "pandas"}


def name_of(node: ast.expr) -> str:
    """A dotted name, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    if isinstance(node, ast.Name):
        return SHORT.get(node.id, node.id)
    return "..."


def found_in(tree: ast.AST) -> Iterator[str]:
    """What could execute what it reads."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (
                f"imports {alias.name}"
                for alias in node.names
                if alias.name.split(".")[0] in MODULES
            )
        elif isinstance(node, ast.ImportFrom):
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            if MODULES & set(str(node.module).split(".")) or names & (CALLS | {"torch.load"}):
                yield f"imports from {node.module}"
        elif isinstance(node, ast.Call):
            yield from _found_in_call(node)


def _found_in_call(node: ast.Call) -> Iterator[str]:
    name = name_of(node.func)
    given = {word.arg: word.value for word in node.keywords}
    shell = given.get("shell")
    if isinstance(shell, ast.Constant) and shell.value:
        yield f"calls {name} with a shell"
    if name in CALLS or name.split(".")[-1] in METHODS:
        yield f"calls {name}"
    if name in {"pickle.load", "pickle.loads", "pickle.Unpickler"}:
        yield f"calls {name}"
    for (call, word), wanted in GIVEN.items():
        value = given.get(word)
        if name == call and not (isinstance(value, ast.Constant) and value.value is wanted):
            yield f"calls {name} without {word}={wanted}"


def test_nothing_of_ours_executes_what_it_reads() -> None:
    files = {path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")}
    files |= set((ROOT / "selfremaster").glob("*.py"))
    assert len(files) > 200
    found = {
        f"{path.relative_to(ROOT).as_posix()}: {what}"
        for path in files
        for what in found_in(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import pickle as p", "imports pickle"),
        ("from dill import loads", "imports from dill"),
        ("from a.cloudpickle_wrapper import loads", "imports from a.cloudpickle_wrapper"),
        ("from torch import load", "imports from torch"),
        ("pickle.loads(text)", "calls pickle.loads"),
        ("torch.load(path)", "calls torch.load without weights_only=True"),
        ("torch.load(path, weights_only=False)", "calls torch.load without weights_only=True"),
        ("np.load(path)", "calls numpy.load without allow_pickle=False"),
        ("yaml.load(text, Loader=yaml.Loader)", "calls yaml.load"),
        ("torch.hub.load('a', 'b')", "calls torch.hub.load"),
        ("eval(text)", "calls eval"),
        ("subprocess.run(text, shell=True)", "calls subprocess.run with a shell"),
        ("zipfile.ZipFile(path).extractall(place)", "calls ....extractall"),
    ],
)
def test_what_is_looked_for_is_found(source: str, what: str) -> None:
    assert what in found_in(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    ["torch.load(path, weights_only=True)", "model.eval()", "re.compile(text)", "json.loads(text)"],
)
def test_what_is_harmless_is_let_through(source: str) -> None:
    assert list(found_in(ast.parse(source))) == []
