"""Draw every picture that the package can draw on one page, and cases of each shipped model.

    python -m stm_experiments.benchmarks.gallery build/gallery

Takes about two minutes of CPU time. The pages are Markdown, the pictures are JPEG files.
"""

import argparse
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from rich.progress import track

from stm_experiments.benchmarks.gallery import networks, scans
from stm_experiments.benchmarks.gallery.cases import write_cases
from stm_experiments.figures.canvas import save_figure

WIDTH = 1000  # px of a picture

HEAD = """# Gallery

Every picture that the commands draw, also of odd images: tiny, huge, wide, tall, unfinished, with
long names. All data are simulated; losses, codes and classes of sites are invented.
`python -m stm_experiments.benchmarks.gallery build/gallery` draws this page.
"""


def main() -> None:
    """Draw the pictures and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="*", help="names of pictures; default: all")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    parts = [HEAD]
    entries = [*scans.entries(), *networks.entries()]
    if arguments.only:
        entries = [entry for entry in entries if entry.name in arguments.only]
    for entry in track(entries, "drawing"):
        save_jpeg(entry.draw(), folder / f"{entry.name}.jpg")
        parts.append(
            f"## {entry.name}\n\n{entry.about} `{entry.source}`\n\n"
            f"![{entry.about}]({entry.name}.jpg)\n"
        )
    (folder / "index.md").write_text("\n".join(parts), encoding="utf-8")
    if not arguments.only:
        write_cases(folder, save_jpeg)


def save_jpeg(figure: Figure, path: Path) -> None:
    """Write a figure as a JPEG file for a page."""
    png = path.with_suffix(".png")
    save_figure(figure, png)
    with Image.open(png) as picture:
        picture.thumbnail((WIDTH, 3 * WIDTH))
        picture.convert("RGB").save(path, quality=75)
    png.unlink()


if __name__ == "__main__":
    main()
