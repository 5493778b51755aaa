"""Draw every picture that the package can draw, on one page.

    python -m stm_experiments.benchmarks.gallery build/gallery

Takes about a minute of CPU time. The page is Markdown, the pictures are JPEG files.
"""

import argparse
from pathlib import Path

from PIL import Image
from rich.progress import track

from stm_experiments.benchmarks.gallery import networks, scans
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
        png = folder / f"{entry.name}.png"
        save_figure(entry.draw(), png)
        with Image.open(png) as picture:
            picture.thumbnail((WIDTH, 3 * WIDTH))
            picture.convert("RGB").save(png.with_suffix(".jpg"), quality=75)
        png.unlink()
        parts.append(
            f"## {entry.name}\n\n{entry.about} `{entry.source}`\n\n"
            f"![{entry.about}]({entry.name}.jpg)\n"
        )
    (folder / "index.md").write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
