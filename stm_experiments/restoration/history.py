"""The sentences that describe how a scan was denoised."""

import numpy as np

from stm_experiments.core.arrays import Array
from stm_experiments.core.normalisation import AffineMap
from stm_experiments.core.units import amount
from stm_experiments.io.scan import Scan
from stm_experiments.models import tiling
from stm_experiments.models.interfaces import Network, Uncertain
from stm_experiments.restoration.denoised import Denoised, NetworkRun
from stm_experiments.restoration.fitness import surplus_sentence
from stm_experiments.restoration.waves.wave_report import wave_report
from stm_experiments.restoration.whole_atoms import UncertainAtoms
from stm_experiments.restoration.whole_network import NetworkAlone


def history_of(
    before: Scan,
    run: NetworkRun,
    after: Array,
    uncertainty: Array | None,
    atoms: UncertainAtoms | None,
) -> list[str]:
    """Describe a pass through a network, one sentence for each thing that was done.

    Args:
        before: The scan that the network received.
        run: The network's input and output.
        after: The result in the scan's unit, [H, W], NaN where not measured.
        uncertainty: In the scan's unit, [H, W], NaN where not measured; None: not computed.
        atoms: Those that are not certain; None: not known.
    """
    sentences = [
        _map_sentence(run.normalisation, run.affine, before.unit),
        f"through {model_name(run.net, run.stride)}: {_change(before, after)}",
        *_fitness_sentences(run, before.unit),
        *_wave_sentence(run, before),
        *_seam_sentence(run),
        *_left_sentence(run),
    ]
    if uncertainty is not None:
        typical = amount(float(np.nanmedian(uncertainty)), before.unit)
        source = "from 4 mirror images"
        if isinstance(run.net, Uncertain):
            source = "by the network"
        elif run.fitness is not None:
            source = "by the estimated risk, with noise that stays, such as slow noise and waves"
        sentences.append(f"uncertainty {source}: median {typical}")
    return [*sentences, atoms.sentence()] if atoms else sentences


def model_name(net: Network, stride: int) -> str:
    """Name a network, where its weights come from, and its windows."""
    source = f" ({net.card.source})" if net.card and net.card.source else ""
    if net.window is None:
        return f"{net.label}{source}"
    return f"{net.label}{source} in windows of {net.window} px every {stride} px"


def picture_title(result: Denoised) -> str:
    """Return the title of a picture that shows a result without its tilt."""
    steps = [f"through {result.model}"]
    if result.prepared:
        steps.insert(0, f"prepared by {', '.join(result.prepared)}")
    if result.affine.row_slope or result.affine.column_slope:
        steps.append("shown without its tilt")
    source = f" ({result.channel}, {result.direction})" if result.channel else ""
    return f"{result.name or 'image'}{source}\n{', '.join(steps)}"


def _change(before: Scan, after: Array) -> str:
    """Describe by how much, and at how many pixels, the data changed."""
    change = after - before.data
    same = float(np.mean(change == 0, where=before.mask))
    rms = float(np.sqrt(np.mean(np.square(change, out=change), where=before.mask)))
    share = f", {1 - same:.1%} of the pixels" if same > 0.001 else ""
    return f"changed by {amount(rms, before.unit)} rms{share}"


def _fitness_sentences(run: NetworkRun, unit: str) -> list[str]:
    """Say whether the network fits the scan, as far as that is known of its kind."""
    if run.fitness is not None:
        return run.fitness.sentences()
    if run.unrepaired is not None:  # it replaces damage, which is larger than any noise
        return []
    surplus = surplus_sentence(run.image, run.output, run.affine.scale, unit)
    if isinstance(run.net, NetworkAlone):
        return [
            "the network was used alone: nothing kept what it took for noise and is the sample's "
            "(look for steps, waves and islands in the residual)",
            *surplus,
        ]
    return surplus


def _seam_sentence(run: NetworkRun) -> list[str]:
    """Compare the seam energies of output and input; nothing where they are not defined."""
    window = run.net.window
    if window is None:
        return []
    try:
        after, before = (
            tiling.seam_energy(image, window, run.stride) for image in (run.output, run.image)
        )
    except ValueError:  # as at stride 1, where all pixels lie on the grid
        return []
    shows = after > 1.1 * before
    grid = "; the grid of the windows shows: choose a smaller stride" if shows else ""
    return [f"seam energy {after:.3g}, before {before:.3g} (1: no seams){grid}"]


def _wave_sentence(run: NetworkRun, before: Scan) -> list[str]:
    """Name a plane wave that was removed; what a repair changes is stripes, and no wave."""
    if run.unrepaired is not None:
        return []
    return wave_report(run.image, run.output, run.affine.scale, before.unit, before.pixel_size)


def _left_sentence(run: NetworkRun) -> list[str]:
    """Name the rows of the scan with damage that was left as recorded; nothing without any."""
    if run.unrepaired is None or not run.unrepaired.any():
        return []
    damaged = run.unrepaired.any(1).cpu().numpy()
    ends = np.flatnonzero(np.diff(damaged, prepend=False, append=False)) + run.part.rows.start
    rows = ", ".join(f"{first} to {end - 1}" for first, end in ends.reshape(-1, 2))
    share = float(run.unrepaired.float().mean())
    return [
        f"left as recorded: {share:.1%} of the pixels, in rows {rows} (the first row is 0), which "
        "may be damaged, but in too tall or too irregular a block to be repaired"
    ]


def _map_sentence(normalisation: str, affine: AffineMap, unit: str) -> str:
    """Describe the map to [-1, 1]."""
    span = amount(2 * affine.scale, unit)
    if normalisation == "minmax":
        return f"mapped to [-1, 1] by its lowest and highest pixel ({span} apart), and back after"
    fast, slow = amount(affine.column_slope, unit), amount(affine.row_slope, unit)
    return (
        f"mapped to [-1, 1] without its plane ({fast}/px along the fast axis, {slow}/px along the "
        f"slow axis) and by its 1st to 99th percentile ({span} apart), and back after"
    )
