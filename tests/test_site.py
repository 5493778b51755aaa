"""The documentation site: its tutorials run, its pages exist, its links lead somewhere."""

import importlib.util
import re
from pathlib import Path

import pytest
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
SPEC = importlib.util.spec_from_file_location("tutorials", ROOT / "docs/_site/tutorials.py")
tutorials = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tutorials)
CARDS = sorted((ROOT / "stm_experiments/models/weights").glob("*.md"))
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), *ROOT.glob("*.md"), *CARDS]


@pytest.mark.parametrize("name", tutorials.TUTORIALS)
def test_a_tutorial_runs_and_draws(name):
    values = [value for _, value in tutorials.results(name)]
    assert any(isinstance(value, Figure) for value in values)
    if name == "own_lattice":
        assert values[-1][0] == 2  # atoms in the cell of boron nitride


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    named = set(re.findall(r"([\w/]+\.md)", text[text.index("\nnav:") :]))
    docs = ROOT / "docs"
    assert {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} <= named
    assert {f"models/{path.name}" for path in CARDS} <= named
    assert {f"tutorials/{name}.md" for name in tutorials.TUTORIALS} <= named


@pytest.mark.parametrize("page", PAGES, ids=[path.name for path in PAGES])
def test_links_between_files_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def is_in_the_package(name):
    """Return whether a dotted name is a module, or a word of the module that it names."""
    path, last = ROOT, ROOT
    for part in name.split("."):
        path, last = path / part, path
        if path.with_suffix(".py").is_file():
            path = path.with_suffix(".py")
        elif not path.is_dir():
            source = last if last.is_file() else last / "__init__.py"
            return re.search(rf"\b{part}\b", source.read_text("utf-8")) is not None
    return True


def test_names_of_the_package_in_the_pages_exist():
    examples = {"stm_experiments.models.TwoLayers"}  # of docs/add_a_network.md
    texts = [page.read_text("utf-8") for page in PAGES if page.name != "CHANGELOG.md"]
    named = {name for text in texts for name in re.findall(r"\bstm_experiments(?:\.\w+)+", text)}
    assert [name for name in sorted(named - examples) if not is_in_the_package(name)] == []
