"""The import rules of the package, read from its source."""

import ast
from pathlib import Path

import pytest

import stm_experiments

ROOT = Path(stm_experiments.__file__).parent
PACKAGE = "stm_experiments"
ENTRY_POINTS = {
    "train",
    "simulate",
    "reconstruct",
    "evaluate",
    "report",
    "find_defects",
    "find_lattice",
}

# What each part may import of the package, beside itself. Parts that are not named are free.
MAY_IMPORT = {
    "simulator": set(),
    "formats": set(),
    "models": set(),
    "tiling": set(),
    "allow": set(),
    "data": {"simulator", "formats", "scan_files", "analysis.lattice_fit"},
    "analysis": {"tiling", "models.bragg"},
    "figures": {"analysis"},
    "objectives": {"analysis", "figures", "data.batch"},
    "checkpoint": {"models", "allow"},
    "preparation": {"formats"},
    "floating": {"tiling"},
    "scan_files": {"formats"},
    "denoise": {"checkpoint", "tiling", "preparation", "formats", "lost_wave"},
    "lost_wave": {"models", "preparation"},
}
FILES = sorted(path for path in ROOT.rglob("*.py"))


def dotted(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def imports(module):
    """Full dotted names that a module imports, anywhere in it; submodules rather than packages."""
    found = set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            inside = node.module.removeprefix(PACKAGE).lstrip(".")
            for alias in node.names:
                name = f"{inside}.{alias.name}".lstrip(".")
                ours = node.module.split(".")[0] == PACKAGE and name in MODULES
                found.add(f"{PACKAGE}.{name}" if ours else node.module)
    return found


def own_imports(module):
    """Dotted names inside the package that a module imports."""
    return {
        name.removeprefix(PACKAGE).lstrip(".")
        for name in imports(module)
        if name.split(".")[0] == PACKAGE
    }


def is_within(name, parent):
    return name == parent or name.startswith(f"{parent}.")


def test_the_source_is_found():
    assert {"train", "models.pca", "data.patches", "simulator.render", ""} <= set(MODULES)
    assert {"models.cae_a", "models.denoiser", "models.pca"} <= own_imports("models")
    assert "checkpoint" in own_imports("train")


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_parts_import_only_what_they_may(part):
    modules = [module for module in MODULES if is_within(module, part)]
    assert modules
    for module in modules:
        for name in own_imports(module):
            allowed = {part, *MAY_IMPORT[part]}
            assert any(is_within(name, parent) for parent in allowed), f"{module} imports {name}"


def test_nothing_imports_an_entry_point():
    for module in MODULES:
        assert not own_imports(module) & ENTRY_POINTS, module


def test_only_the_edge_knows_hydra():
    may = {"build", "config"} | ENTRY_POINTS
    for module in MODULES:
        roots = {name.split(".")[0] for name in imports(module)}
        assert module in may or not roots & {"hydra", "omegaconf"}, module


def test_imports_are_not_circular():
    edges = {module: own_imports(module) & set(MODULES) for module in MODULES}
    done = set()

    def visit(module, path):
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in edges[module]:
                visit(other, [*path, module])
            done.add(module)

    for module in MODULES:
        visit(module, [])
    assert done == set(MODULES)


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_files_stay_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    entry = path.parent == ROOT and path.stem in ENTRY_POINTS
    assert lines < 100 if entry else lines <= 300
