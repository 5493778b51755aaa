"""Cases of the shipped models: where they work and where they fail, with the truth beside them."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from rich.progress import track

from stm_experiments.benchmarks.destripe.images import KINDS, SEVERITIES, striped_image
from stm_experiments.benchmarks.quality.collection import CaseName, build_case
from stm_experiments.core.arrays import Array
from stm_experiments.core.normalisation import NORMALISATIONS, denormalise
from stm_experiments.core.planes import subtract_plane
from stm_experiments.figures.canvas import RESIDUAL_COLOURS, draw_image, height_limits, new_figure
from stm_experiments.models import DetectAndInterpolate
from stm_experiments.models.checkpoint import load, shipped_models
from stm_experiments.models.interfaces import Network
from stm_experiments.restoration.denoise import denoise
from stm_experiments.simulator import Noise

SIDE = 192  # px
SPLIT = "development"  # its images are for choices, so that no quoted number comes from them
ALONE, INTERPOLATED = "network alone", "rows interpolated"


class Pair(NamedTuple):
    """A simulated scan.

    Attributes:
        truth: [H, W].
        recorded: With noise, [H, W].
    """

    truth: Array
    recorded: Array


class Case(NamedTuple):
    """An image for a model, and what to see in its result.

    Attributes:
        title: What the image is.
        works: Whether the model does here what it is for.
        remark: What to see.
        draw: Draws the image.
        uncertainty: Whether the model is asked for its uncertainty.
    """

    title: str
    works: bool
    remark: str
    draw: Callable[[], Pair]
    uncertainty: bool = False


def collected(surface: str, noise: str) -> Pair:
    """Return an image of the frozen collection; its noise has no tilt."""
    case = build_case(CaseName(surface, noise, SPLIT, 0, (SIDE, SIDE)))
    return Pair(case.clean, case.clean + subtract_plane(case.noisy - case.clean))


def striped(lattice: str, noise: Noise) -> Pair:
    """Return an image with stripes."""
    image = striped_image(lattice, 0, noise, SIDE + 1)
    return Pair(image.clean.double().numpy(), image.noisy.double().numpy())


SURFACES = [
    Case("A charge-density wave on a lattice that was never trained on, white noise of .1 c", True,
         "The wave is kept, though the network does not know this surface: the filters of the "
         "scan's own patches do the work. The history also takes the wave for the instrument's, as "
         "one image cannot tell; nothing is subtracted unless you ask for it.",
         partial(collected, "charge_density_wave", "white_0.1")),
    Case("Vacancies, white noise of .1 c", True,
         "The vacancies stay empty.", partial(collected, "vacancies", "white_0.1")),
    Case("Lone molecules on bare ground, white noise of .01 c", True,
         "Nothing repeats itself here, so that filters know little: the network does the work.",
         partial(collected, "molecules", "white_0.01")),
    Case("Vacancies of a fine honeycomb, white noise of .3 c", True,
         "The filters know perfect cells and fill all nine vacancies. What they removed shows "
         "that, and is given back. With `uncertainty=true` the history says that most single atoms "
         "cannot be trusted.",
         partial(collected, "vacancies", "white_0.3"), uncertainty=True),
    Case("Noise that is smooth over 3 px, as after resampling", False,
         "Such noise looks like the sample. It is hardly measured, hardly anything is removed, and "
         "the history does not know how much is left.",
         partial(collected, "square_9px", "blobs_3px")),
    Case("The paper's noise: jitter, thermal and shot noise, and a striation", False,
         "The striation stays, as it could be a wave of the sample. The history names it, and "
         "`remove_waves=true` subtracts it.", partial(collected, "sc", "paper")),
    Case("Realistic noise: offset lines and 1/f noise", False,
         "Noise that is as slow as the surface stays. The history says so; its estimate of the "
         "gain counts only the noise that was measured.", partial(collected, "fcc", "realistic")),
]  # fmt: skip
FIRST_VERSION = [
    Case("The paper's noise on a lattice of the training", True,
         "The network alone removes a part of the striation, which its mixture in `denoise` does "
         "not: the noise that `denoise` measures has no striation.",
         partial(collected, "bcc", "paper")),
    Case("Realistic noise on a lattice of the training", True,
         "The network alone takes all that is slow for noise. `denoise` cannot tell slow noise "
         "from the sample (`alone=true` uses the network alone).",
         partial(collected, "fcc", "realistic")),
    Case("A moiré, white noise of .1 c", True,
         "It was not trained on it, and does well at this strength of noise.",
         partial(collected, "moire", "white_0.1")),
    Case("Atoms 5 to 8 px apart, white noise of .03 c", False,
         "The network alone makes the scan worse. The history says so, and the mixture does not "
         "use it.", partial(collected, "hexagonal_5_8px", "white_0.03")),
    Case("A kagome lattice, white noise of .03 c", False,
         "The same on a lattice that it does not know, at low noise.",
         partial(collected, "kagome", "white_0.03")),
    Case("A charge-density wave, white noise of .1 c", False,
         "The network alone takes a part of the wave for a striation: it is in the error.",
         partial(collected, "charge_density_wave", "white_0.1")),
]  # fmt: skip
STRIPES = [
    Case("ZrTe3: parts of lines lost, stripes 4 px wide", True,
         "Only the lost parts are replaced. Interpolation of whole rows loses their good parts.",
         partial(striped, "zrte3", KINDS["lost"].noise(4))),
    Case("hex2: lines at another height and contrast, 2 px wide", True,
         "A lattice that was never trained on. Such lines are no outliers, so that a search for "
         "outliers finds nothing.", partial(striped, "hex2", KINDS["lifted"].noise(2))),
    Case("fcc: lines at another height and contrast, 4 px wide", True,
         "Most are repaired. An irregular block, of stripes on top of each other, is left and "
         "reported.", partial(striped, "fcc", KINDS["lifted"].noise(4))),
    Case("TiSe2: 61 lines lost", False,
         "They are left as recorded, on purpose, and reported: what lay there is not known. "
         "Interpolation draws bars.",
         partial(striped, "tise2", SEVERITIES["severe (64 px)"])),
    Case("SrTiO3: lines at another height, 16 px wide", False,
         "Some are repaired; tall or irregular blocks are left and reported.",
         partial(striped, "srtio3", KINDS["lifted"].noise(16))),
    Case("1T-TaS2 with realistic noise", False,
         "It repairs what it takes for stripes, and no other noise: the denoiser comes after it.",
         partial(collected, "tas2", "realistic")),
]  # fmt: skip
CASES = {"surface_denoiser": SURFACES, "denoiser": FIRST_VERSION, "destripe": STRIPES}


def write_cases(folder: Path, save: Callable[[Figure, Path], None]) -> None:
    """Write one page for each shipped model, ``cases_<model>.md``, and its pictures.

    Args:
        folder: Exists.
        save: Writes a figure as JPEG to a path.
    """
    for model in track(shipped_models(), "cases of models"):
        parts = [
            f"## Facts\n\n{facts(model)}",
            "## Cases\n\nSimulated scans that no training saw, drawn by `python -m "
            "stm_experiments.benchmarks.gallery build/gallery`. The decibels compare the squared "
            "errors of the recorded scan and of the estimate. The lines below each picture are the "
            "history's.",
        ]
        for works, heading in ((True, "Where it works"), (False, "Where it fails")):
            parts.append(f"### {heading}")
            for number, case in enumerate(CASES[model]):
                if case.works == works:
                    name = f"cases_{model}_{number}.jpg"
                    figure, words = judged(model, case)
                    save(figure, folder / name)
                    quoted = "\n".join(f"> - {word}" for word in words)
                    parts += [
                        f"**{case.title}.** {case.remark}",
                        f"![{case.title}]({name})",
                        quoted,
                    ]
        (folder / f"cases_{model}.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def facts(model: str) -> str:
    """Return a table of what a model file says of itself."""
    net = load(model)
    card = net.card
    assert card is not None
    lattices = ", ".join(card.lattice) or "of no name: random surfaces"
    rows = {
        "file": card.source,
        "network": f"`{card.network}`, {sum(p.numel() for p in net.parameters()):,} parameters",
        "images": "of any size" if card.window is None else f"patches of {card.window} px",
        "maps an image to [-1, 1] by": card.normalisation,
        "trained on lattices": lattices,
    }
    return "\n".join(
        ["| | |", "|---|---|", *(f"| {name} | {text} |" for name, text in rows.items())]
    )


def judged(model: str, case: Case) -> tuple[Figure, list[str]]:
    """Apply a model to a case; return the picture and the model's own words."""
    pair = case.draw()
    result = denoise(pair.recorded, model, uncertainty=case.uncertainty)
    if model == "destripe":
        name, other = INTERPOLATED, interpolated(pair.recorded)
    else:
        name, other = ALONE, passed(load(model), pair.recorded)
    columns = {name: other, "destripe" if model == "destripe" else "denoise": result.data}
    return case_figure(pair, columns), [line for line in result.history if "mapped to" not in line]


def passed(net: Network, image: Array) -> Array:
    """Return an image after one pass of a network, without any rule around it."""
    pixels, affine = NORMALISATIONS[net.card.normalisation if net.card else "plane"](image)
    with torch.inference_mode():
        output = net(torch.from_numpy(pixels)[None, None])[0, 0]
    return denormalise(output.double().numpy(), affine)


def interpolated(image: Array) -> Array:
    """Return an image whose outlying rows are interpolated."""
    rows = torch.from_numpy(image).float()[None, None]
    found: Array = DetectAndInterpolate()(rows)[0, 0].double().numpy()
    return found


def gain(pair: Pair, estimate: Array) -> float:
    """Return the squared error of the recorded image over that of an estimate, dB; no offsets."""
    before, after = (np.var(x - pair.truth) for x in (pair.recorded, estimate))
    return float(10 * np.log10(before / after)) if after > 0 else np.inf


def case_figure(pair: Pair, estimates: Mapping[str, Array]) -> Figure:
    """Draw a recorded image and its estimates; below them the truth and the errors."""
    noise = pair.recorded - pair.truth
    figure = new_figure(8.4, 6.4, "", "Errors from -3 (blue) to 3 (red) deviations of the noise.")
    upper, lower = figure.subplots(2, 1 + len(estimates))
    limits = height_limits([pair.truth], 0.2)
    draw_image(upper[0], pair.recorded - np.median(noise), limits, "recorded")
    draw_image(lower[0], pair.truth, limits, "truth")
    span = 3 * float(noise.std())
    for place, (name, estimate) in enumerate(estimates.items(), 1):
        error = estimate - pair.truth
        error = error - np.median(error)
        title = f"{name}: {gain(pair, estimate):+.1f} dB"
        draw_image(upper[place], pair.truth + error, limits, title)
        draw_image(lower[place], error, (-span, span), "its error", RESIDUAL_COLOURS)
    return figure
