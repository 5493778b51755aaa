"""The house rules of the package, read from its source: which room may import from which."""

import ast
from pathlib import Path

import pytest

import stm_experiments

ROOT = Path(stm_experiments.__file__).parent
PACKAGE = "stm_experiments"

# A room imports only from the floors above its own; rooms of one floor do not import each other.
FLOORS = (
    ("core",),
    ("io", "simulator", "models"),
    ("metrics", "lattice"),
    ("restoration",),
    ("data", "latent"),
    ("figures",),
    ("training",),
    ("evaluation",),
    ("reporting",),
    ("app",),
    ("recipes",),
    ("viewer",),
)
DOORS = (
    "train",
    "simulate",
    "evaluate",
    "reconstruct",
    "report",
    "find_defects",
    "find_lattice",
    "find_sites",
    "align",
    "show",
    "export",
    "about",
    "view",
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
DOOR_LINES = 100
ROOM_MODULES = 15  # about a dozen


def dotted(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = sorted(ROOT.rglob("*.py"))
MODULES = {dotted(path): ast.parse(path.read_text(encoding="utf-8")) for path in FILES}
PACKAGES = {dotted(path) for path in FILES if path.name == "__init__.py"}


def imports(module):
    """Return the full dotted names that a module imports anywhere; submodules before packages."""
    names = set()
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            inside = node.module.removeprefix(PACKAGE).lstrip(".")
            for alias in node.names:
                name = f"{inside}.{alias.name}".lstrip(".")
                ours = node.module.split(".")[0] == PACKAGE and name in MODULES
                names.add(f"{PACKAGE}.{name}" if ours else node.module)
    return names


def own_imports(module):
    """Return the dotted names inside the package that a module imports."""
    return {
        name.removeprefix(PACKAGE).lstrip(".")
        for name in imports(module)
        if name.split(".")[0] == PACKAGE
    }


def room_of(module):
    return module.split(".")[0]


def test_the_source_is_found():
    rooms = {room_of(module) for module in MODULES} - {""}
    assert rooms == {*FLOOR, *DOORS, "benchmarks"}
    assert {"models.baselines.pca", "data.sources.simulated", "simulator.rendering.render"} <= set(
        MODULES
    )
    assert "recipes.train" in own_imports("train")


@pytest.mark.parametrize("room", FLOOR)
def test_rooms_import_only_from_floors_above(room):
    for module in MODULES:
        if room_of(module) != room:
            continue
        for name in own_imports(module):
            other = room_of(name)
            assert other == room or FLOOR.get(other, 99) < FLOOR[room], f"{module} imports {name}"


def test_nothing_imports_a_door_or_a_benchmark():
    for module in MODULES:
        inside = {"benchmarks"} if room_of(module) == "benchmarks" else set()
        rooms = {room_of(name) for name in own_imports(module)}
        assert not rooms & ({*DOORS, "benchmarks"} - inside), module


def test_only_app_and_what_it_starts_know_hydra():
    for module in MODULES:
        roots = {name.split(".")[0] for name in imports(module)}
        if room_of(module) not in {"app", "recipes", *DOORS}:
            assert not roots & {"hydra", "omegaconf"}, module


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


@pytest.mark.parametrize("door", DOORS)
def test_doors_are_short(door):
    assert len((ROOT / f"{door}.py").read_text(encoding="utf-8").splitlines()) < DOOR_LINES


@pytest.mark.parametrize("package", sorted(PACKAGES - {""}))
def test_rooms_are_not_crowded(package):
    inside = [m for m in MODULES if m.rpartition(".")[0] == package and m not in PACKAGES]
    assert len(inside) <= ROOM_MODULES


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_modules_say_what_they_are(path):
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
