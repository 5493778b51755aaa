"""Tutorials: notebooks as Python files (jupytext's percent format), run and turned into pages.

Run: python docs/_site/tutorials.py build/tutorials
"""

import ast
import importlib
import logging
import sys
import warnings
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

FOLDER = Path(__file__).resolve().parents[1] / "tutorials"
TUTORIALS = ("own_scan", "lattice", "training", "own_lattice")
WIDTH = 1100  # px of a picture


def cells(name: str) -> list[tuple[str, str]]:
    """Return the cells of a tutorial: ``markdown`` or ``code``, and the text."""
    found = []
    for cell in (FOLDER / f"{name}.py").read_text("utf-8").split("# %%")[1:]:
        head, _, body = cell.partition("\n")
        if "[markdown]" in head:
            lines = [line.removeprefix("#").removeprefix(" ") for line in body.strip().splitlines()]
            found.append(("markdown", "\n".join(lines)))
        else:
            found.append(("code", body.strip()))
    return found


def results(name: str) -> list[tuple[int, Any]]:
    """Run a tutorial; return the number of each cell that ends in an expression, and its value."""
    names: dict[str, Any] = {"__name__": "tutorial"}
    found = []
    for number, (kind, text) in enumerate(cells(name)):
        if kind == "markdown":
            continue
        tree = ast.parse(text)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), names)
        if isinstance(last, ast.Expr):
            found.append((number, eval(compile(ast.Expression(last.value), name, "eval"), names)))
    return found


def write(folder: Path) -> None:
    """Run all tutorials; write pictures as .jpg and other results as .txt."""
    folder.mkdir(parents=True, exist_ok=True)
    warnings.filterwarnings("ignore", module="lightning")
    importlib.import_module("lightning.pytorch")  # it sets its own level
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    for name in TUTORIALS:
        for number, value in results(name):
            if isinstance(value, Figure):
                value.savefig(folder / "page.png", dpi=100)
                with Image.open(folder / "page.png") as page:
                    page.thumbnail((WIDTH, 3 * WIDTH))
                    page.convert("RGB").save(folder / f"{name}_{number}.jpg", quality=80)
                (folder / "page.png").unlink()
            elif value is not None:
                (folder / f"{name}_{number}.txt").write_text(
                    value if isinstance(value, str) else repr(value), "utf-8"
                )


def as_page(name: str, folder: Path) -> str:
    """Return a tutorial as Markdown, with the results of ``write`` below its cells."""
    parts = []
    for number, (kind, text) in enumerate(cells(name)):
        parts.append(text if kind == "markdown" else f"```python\n{text}\n```")
        if (folder / f"{name}_{number}.jpg").is_file():
            parts.append(f"![Result of the cell above]({name}_{number}.jpg)")
        elif (folder / f"{name}_{number}.txt").is_file():
            printed = (folder / f"{name}_{number}.txt").read_text("utf-8")
            parts.append(f"```text\n{printed}\n```")
    return "\n\n".join([*parts, f"*This page is the notebook `docs/tutorials/{name}.py`.*"])


if __name__ == "__main__":
    write(Path(sys.argv[1]))
