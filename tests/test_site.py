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
PAGES = [*sorted((ROOT / "docs").glob("*.md")), *ROOT.glob("*.md")]


@pytest.mark.parametrize("name", tutorials.TUTORIALS)
def test_a_tutorial_runs_and_draws(name):
    values = [value for _, value in tutorials.results(name)]
    assert any(isinstance(value, Figure) for value in values)
    if name == "own_lattice":
        assert values[-1][0] == 2  # atoms in the cell of boron nitride


def test_every_page_is_in_the_navigation():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    named = set(re.findall(r"([\w/]+\.md)", text[text.index("\nnav:") :]))
    assert {path.name for path in (ROOT / "docs").glob("*.md")} <= named
    cards = {path.name for path in (ROOT / "stm_experiments/models/weights").glob("*.md")}
    assert {f"models/{name}" for name in cards} <= named
    assert {f"tutorials/{name}.md" for name in tutorials.TUTORIALS} <= named


@pytest.mark.parametrize("page", PAGES, ids=[path.name for path in PAGES])
def test_links_between_files_lead_somewhere(page):
    targets = re.findall(r"\]\(([^)\s#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
