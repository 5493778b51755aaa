"""Pages of the site that come from elsewhere: cards, commands, configuration, API, tutorials."""

import os
import re
import sys
from importlib import import_module
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"  # what `make docs` has drawn
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from tutorials import TUTORIALS, as_page  # noqa: E402

# Pages that the repository keeps elsewhere, by their place in the site.
MOVED = {name: name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")} | {
    f"models/{path.name}": path.relative_to(ROOT).as_posix()
    for path in sorted((ROOT / "stm_experiments/models/weights").glob("*.md"))
}
PLACES = {source: place for place, source in MOVED.items()} | {"README.md": "index.md"}
PLACES |= {f"docs/tutorials/{name}.py": f"tutorials/{name}.md" for name in TUTORIALS}
PAGES = (".md", ".jpg", ".png")
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")
COMMANDS = {
    "show": "stm-show", "reconstruct": "stm-reconstruct", "find_lattice": "stm-find-lattice",
    "find_defects": "stm-find-defects", "find_sites": "stm-find-sites", "align": "stm-align",
    "simulate": "stm-simulate", "train": "stm-train", "evaluate": "stm-evaluate",
    "report": "stm-report", "export": "stm-export",
}  # fmt: skip


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are generated or kept elsewhere."""
    pages = {place: (ROOT / source).read_text("utf-8") for place, source in MOVED.items()}
    pages["reference/api.md"] = api_page()
    pages["reference/commands.md"] = commands_page()
    pages["reference/configuration.md"] = configuration_page()
    pages["gallery/index.md"] = gallery_page()
    for name in TUTORIALS:
        pages[f"tutorials/{name}.md"] = as_page(name, BUILD / "tutorials")
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
    for folder in ("gallery", "tutorials"):
        for path in sorted((BUILD / folder).glob("*.jpg")):
            place = "models" if path.name.startswith("cases_") else folder
            files.append(File.generated(config, f"{place}/{path.name}", abs_src_path=str(path)))
    for file in list(files):
        if file.src_uri.startswith("tutorials/") and file.src_uri.endswith(".py"):
            files.remove(file)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    place = page.file.src_uri
    if place.startswith(("reference/", "gallery/", "tutorials/")):
        return markdown
    source = MOVED.get(place, f"docs/{place}")

    def link(match: re.Match[str]) -> str:
        mark, text, target, anchor = match.groups()
        if not target or ":" in target:
            return match[0]
        wanted = os.path.normpath(os.path.join(os.path.dirname(source), target))
        there = PLACES.get(wanted, wanted.removeprefix("docs/"))
        if Path(there).suffix not in PAGES or (there == wanted and wanted not in PLACES):
            # A file of the repository that is not part of the site.
            return f"`{wanted}`"
        here = os.path.relpath(there, os.path.dirname(place) or ".")
        return f"{mark}[{text}]({here}{anchor or ''})"

    head, heading, rest = LINK.sub(link, markdown).partition("\n## ")
    return head + cases_of(place) + heading + rest


def cases_of(place: str) -> str:
    """Return the cases of a shipped model that the gallery has drawn; nothing for other pages."""
    path = BUILD / "gallery" / f"cases_{Path(place).name}"
    return "\n" + path.read_text("utf-8") if place.startswith("models/") and path.is_file() else ""


def api_page() -> str:
    """Return the page of the public API, which mkdocstrings fills."""
    package = import_module("stm_experiments")
    others = {
        "Scan": "stm_experiments.io.scan",
        "Denoised": "stm_experiments.restoration.denoised",
        "LatticeFit": "stm_experiments.lattice.fit",
        "find_lattice": "stm_experiments.lattice.fit",
        "find_point_defects": "stm_experiments.lattice.point_defects",
        "Card": "stm_experiments.models.interfaces",
    }
    homes = {name: getattr(package, name).__module__ for name in package.__all__} | others
    parts = ["# Python\n", "The names of `stm_experiments` itself, and what they return.\n"]
    parts += [f"::: {home}.{name}\n" for name, home in sorted(homes.items())]
    return "\n".join(parts)


def commands_page() -> str:
    """Return what `--help` says of every command."""
    help_text = import_module("stm_experiments.app.command_line.help").help_text
    import_module("stm_experiments.app.job")  # its resolvers
    parts = [
        "# Commands\n",
        "What `--help` prints. `python -m stm_experiments.<name>` is the same.",
    ]
    for name, command in COMMANDS.items():
        text = help_text([], name).replace(f"{ROOT}/", "")
        parts.append(f"\n## {command}\n\n```yaml\n{text}\n```")
    parts.append(
        "\n## Without settings\n\n`stm-view [files]` opens the [window](../viewer.md). `stm-about` "
        "prints versions, devices, formats and models."
    )
    return "\n".join(parts)


def configuration_page() -> str:
    """Return all files of conf with their comments."""
    parts = ["# Configuration\n", "Every file of `conf`; a comment says what each key does.\n"]
    folder = ROOT / "conf"
    for path in sorted(folder.rglob("*.yaml"), key=lambda path: (path.parent != folder, path)):
        text = path.read_text("utf-8").strip()
        parts.append(f"## {path.relative_to(folder)}\n\n```yaml\n{text}\n```\n")
    return "\n".join(parts)


def gallery_page() -> str:
    """Return the gallery that `python -m stm_experiments.benchmarks.gallery` has drawn."""
    path = BUILD / "gallery" / "index.md"
    if path.is_file():
        return path.read_text("utf-8")
    return "# Gallery\n\n`make docs` draws it."
