"""What stripe networks change in scans without stripes: lattices, terraces, islands, row noise."""

from rich.progress import track

from stm_experiments.benchmarks.quality.collection import CaseName, build_case
from stm_experiments.core.arrays import Array
from stm_experiments.core.intervals import mean_and_interval
from stm_experiments.models.interfaces import Network
from stm_experiments.reporting.result_table import Cell, ResultTable, number
from stm_experiments.restoration.denoise import denoise

SURFACES = (
    "oblique",
    "terraces",
    "half_steps_along_rows",
    "islands",
    "empty_terraces",
    "ring_adsorbates",
    "molecules",
    "amorphous_film",
)
NOISES = ("white_0.03", "white_0.3", "rows", "pink", "hum")
FIRST = 2000  # number of the first case: the collection's own have lower ones


def unstriped_table(nets: dict[str, Network], count: int, size: int) -> ResultTable:
    """Tabulate the share of the pixels that ``denoise`` changes in images of ``quality``.

    Args:
        nets: Networks by the path of their file.
        count: Images of each surface and noise.
        size: Of the images, px.
    """
    columns = ("surface", "", *NOISES, "worst image")
    table = ResultTable("unstriped", columns, [])
    for surface in track(SURFACES, "surfaces without stripes"):
        images = {
            noise: [
                build_case(CaseName(surface, noise, "development", FIRST + index, (size, size)))
                for index in range(count)
            ]
            for noise in NOISES
        }
        for path, net in nets.items():
            row, worst = [Cell(surface), Cell(path)], 0.0
            for cases in images.values():
                shares = [_changed_per_cent(case.noisy, net) for case in cases]
                mean, half = mean_and_interval(shares)
                row.append(number(mean, 2, half))
                worst = max(worst, *shares)
            table.rows.append([*row, number(worst, 2)])
    return table


def _changed_per_cent(image: Array, net: Network) -> float:
    """Return how many pixels of an image [H, W] change, per cent."""
    scan = denoise(image, net)
    return 100 * float((scan.data != scan.before.data).mean())
