"""Everything declared is imported, and everything imported is declared."""

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = {"stm_experiments", "hydra_plugins"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
# Extras with what the package imports where it is installed.
OPTIONAL = ("scans", "fast", "slurm", "sweeps", "viewer", "export", "bioimageio", "notebooks")
# Declared and not imported: tools that are run or test with, and what others import for us.
TOOLS = {"ruff", "mypy", "codespell", "pre-commit", "build", "pytest", "pytest-xdist", "gwyfile"}
# By Lightning, scikit-image, napari, torch.onnx, bioimageio.
USED_BY_OTHERS = {"tensorboard", "pywavelets", "pyqt6", "onnxscript", "pydantic"}
# Imported where it is installed and never declared: a benchmark compares with it; a baseline whose
# licence forbids commercial use.
NEVER_DECLARED = {"pyroved", "bm3d"}
TYPES_ONLY = {"_typeshed"}  # exists for type checkers alone
IMPORTERS = ("importlib.import_module", "import_module", "library")  # functions that take a name


def distributions(requirements):
    """Return the normalised names of requirements such as ``torch>=2``; without our own extras."""
    names = {re.split(r"[\[<>=!~; ]", text, maxsplit=1)[0] for text in requirements}
    return {normalised(name) for name in names} - {"stm-experiments"}


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def imported(*folders):
    """Return the top-level names that the files of folders import anywhere, and their files."""
    names = {}
    for path in (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                modules = [node.module]
            elif isinstance(node, ast.Call) and ast.unparse(node.func) in IMPORTERS:
                modules = [x.value for x in node.args[:1] if isinstance(x, ast.Constant)]
            for module in modules:
                top = module.split(".")[0]
                if module.startswith("hydra_plugins.hydra_submitit_launcher"):
                    top = "hydra_plugins.hydra_submitit_launcher"
                names.setdefault(top, path.relative_to(ROOT))
    return {
        name: path
        for name, path in names.items()
        if name not in sys.stdlib_module_names and name not in OURS | TYPES_ONLY
    }


@pytest.fixture(scope="module")
def providers():
    """Return the distributions of each top-level module that is installed."""
    by_module = importlib.metadata.packages_distributions()
    found = {name: {normalised(each) for each in of} for name, of in by_module.items()}
    return {
        **found,
        "hydra_plugins.hydra_submitit_launcher": {"hydra-submitit-launcher"},
        "bioimageio": {"bioimageio-core"},  # also where it is not installed
    }


def test_everything_imported_is_declared(providers):
    optional = set().union(*(distributions(EXTRAS[name]) for name in OPTIONAL))
    declared = distributions(PROJECT["dependencies"]) | optional
    missing = {
        name: str(path)
        for name, path in imported("stm_experiments", "hydra_plugins").items()
        if name not in NEVER_DECLARED and not providers.get(name, {normalised(name)}) & declared
    }
    assert missing == {}


def test_everything_declared_is_imported(providers):
    names = imported("stm_experiments", "hydra_plugins")
    used = set().union(*(providers.get(name, {normalised(name)}) for name in names))
    optional = set().union(*(distributions(EXTRAS[name]) for name in OPTIONAL))
    declared = distributions(PROJECT["dependencies"]) | optional
    assert declared - used - USED_BY_OTHERS == set()


def test_tests_need_no_more_than_the_extra_for_developers(providers):
    everything = set().union(
        distributions(PROJECT["dependencies"]), *map(distributions, EXTRAS.values())
    )
    missing = {
        name: str(path)
        for name, path in imported("tests").items()
        if not (ROOT / "tests" / f"{name}.py").is_file()
        and not providers.get(name, {normalised(name)}) & everything
    }
    assert missing == {}


def test_the_extra_for_developers_has_the_tools():
    assert distributions(EXTRAS["dev"]) == TOOLS


def test_exact_versions_are_in_the_constraints():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    pinned = distributions(line for line in text.splitlines() if "==" in line)
    everything = set().union(
        distributions(PROJECT["dependencies"]), *map(distributions, EXTRAS.values())
    )
    assert everything - pinned - {"torch"} == set()  # torch's build is chosen in the Makefile


def test_the_licence_of_every_pinned_package_is_listed():
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| (\S+) \| (\d\S*) \| (\S.*) \|$", page)
    listed = [(name, version) for name, version, _ in rows]
    assert listed == re.findall(r"(?m)^(\S+)==(\S+)$", pins), "run: python docs/_site/licences.py"


def test_the_version_is_the_same_everywhere():
    version = PROJECT["version"]
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"(?m)^## (\S+)", changes)[1] == version
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"(?m)^version: (\S+)", citation)[1] == version
