"""Which pictures of the run folders a report shows."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from stm_experiments.reporting.page import Page, Picture
from stm_experiments.reporting.runs import Run
from stm_experiments.reporting.settings import Settings

HEADINGS = {
    "reconstructions": "Held-out patches: input, first and final reconstruction",
    "latent": "Latent space, first principal components",
    "confusion": "What the probe takes each lattice for, from one patch and from all of an image",
    "latent_pooled": "Codes of patches, and of whole images",
    "centred": "Patches turned and centred by the network",
    "traversals": "What each number of the code changes",
    "patches": "Images and the patches cut from them",
    "network": "Networks",
}
DRAWN_HERE = ("curves",)  # the page has its own
MOST_FIRST, MOST_OTHERS = 6, 18  # pictures of one kind that are shown, and that unfold


class Gallery(NamedTuple):
    """The pictures of one kind.

    Attributes:
        heading: What they show.
        first: Pictures that are shown.
        others: Pictures that unfold.
        left_out: The number of those that stay in the run folders.
    """

    heading: str
    first: list[Picture]
    others: list[Picture]
    left_out: int


def collect_pictures(page: Page, settings: Settings) -> list[Gallery]:
    """Return the pictures that the runs drew, by kind: those of the best runs first."""
    kinds: dict[str, list[tuple[Run, Path]]] = {}
    for run in settings.ranked:
        for path in sorted(run.folder.glob("figures/*.png")):
            kinds.setdefault(path.stem, []).append((run, path))
    known = [*(kind for kind in HEADINGS if kind in kinds), *sorted(set(kinds) - set(HEADINGS))]
    return [_gallery(page, kind, kinds[kind], settings) for kind in known if kind not in DRAWN_HERE]


def _gallery(
    page: Page, kind: str, pictures: Sequence[tuple[Run, Path]], settings: Settings
) -> Gallery:
    """Choose the pictures of one kind: first the best run of each network and kind of images."""
    alike: Callable[[Run], tuple[object, ...]] = {
        "network": lambda run: (run.network, settings.label(run) if not run.configuration else ""),
        "patches": lambda run: (run.lattice, run.noise, run.images),
    }.get(kind, lambda run: (run.lattice, run.noise, run.images, run.model))
    first: dict[tuple[object, ...], tuple[Run, Path]] = {}
    others = []
    for run, path in pictures:
        if first.setdefault(alike(run), (run, path)) != (run, path):
            others.append((run, path))
    if kind in ("network", "patches"):  # more of the same network or images tell nothing new
        others = []
    others = [*list(first.values())[MOST_FIRST:], *others]
    return Gallery(
        HEADINGS.get(kind, kind.replace("_", " ")),
        [page.picture(path, settings.name(r)) for r, path in list(first.values())[:MOST_FIRST]],
        [page.picture(path, settings.name(run)) for run, path in others[:MOST_OTHERS]],
        max(0, len(others) - MOST_OTHERS),
    )
