"""Denoising of scans: from a scan to the same scan without its noise."""

from collections.abc import Sequence
from dataclasses import fields
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from stm_experiments.core.arrays import Mask
from stm_experiments.core.normalisation import NORMALISATIONS, denormalise
from stm_experiments.io.read import read_other_trace
from stm_experiments.io.scan import Scan
from stm_experiments.models import tiling
from stm_experiments.models.checkpoint import load
from stm_experiments.models.interfaces import Network, Repairing
from stm_experiments.restoration import preparation
from stm_experiments.restoration.denoised import Denoised, NetworkRun
from stm_experiments.restoration.fitness import assess_fitness
from stm_experiments.restoration.history import history_of, model_name
from stm_experiments.restoration.measured import as_scan, measured_part
from stm_experiments.restoration.mixture.local_risk import LocalRisk
from stm_experiments.restoration.waves.instrument_waves import treat_waves
from stm_experiments.restoration.whole_atoms import UncertainAtoms, find_uncertain_atoms
from stm_experiments.restoration.whole_network import whole_image_network

DEFAULT = "surface_denoiser"  # the shipped model that is used if no other is named


def denoise(
    scan: Scan | str | Path | ArrayLike,
    checkpoint: str | Path | Network | None = None,
    *,
    stride: int = 4,
    uncertainty: bool = False,
    prepare: preparation.StepOrName | Sequence[preparation.StepOrName] = (),
    remove_waves: bool = False,
    normalisation: str | None = None,
    progress: tiling.Progress | None = None,
) -> Denoised:
    """Pass a scan through a network, and describe in its history what was done.

    The measured part of the scan is mapped to [-1, 1], and the output back by the same map, so that
    units, tilt and absolute height return. Missing pixels inside of that part are filled with the
    value of their nearest neighbour for the network; pixels that were not measured stay masked.

    The uncertainty of a mixture of experts is fitted to true errors on simulated surfaces with
    noise of all kinds (``restoration.mixture.stated_error``): over such scans, 68 and 95 % of the
    pixels are within one and two of it; a single scan can be far from that. A network that states
    its own is believed (``Uncertain``). Otherwise it is the standard deviation of the results for
    the 4 symmetries that keep rows rows (``tiling.apply_with_deviation``), times the factor
    ``calibration`` of the model's card, which makes it as large as the true error is on simulated
    images (root mean square; 1 if the card has none). That contains no error that the network
    always makes in the same way, such as an atom that it tends to invent. The result itself does
    not depend on ``uncertainty``.

    With the uncertainty of a mixture come the atoms that are not certain
    (``restoration.whole_atoms``).

    Args:
        scan: A scan, a file that ``read_scan`` knows, or an array [H, W] (NaN: not measured).
        checkpoint: A model file, the name of a shipped model, or a network; None: the shipped
            ``surface_denoiser``.
        stride: Step between windows, px, for networks that have one.
        uncertainty: Whether to return the uncertainty of each pixel (up to 4 times slower).
        prepare: Step or steps to apply first, of ``stm_experiments.restoration.preparation``.
        remove_waves: Whether plane waves that look like the instrument's, such as striations and
            hum, are subtracted first; the history names them in any case. The other trace of the
            scan's file, if there is one, tells them from waves of the sample.
        normalisation: The map to [-1, 1], ``minmax`` or ``plane``; None: as in the training of the
            network.
        progress: Called as ``progress(done, total)``.

    Returns:
        The denoised scan.

    Raises:
        ValueError: If the scan, the model or a setting cannot be used.
    """
    net = load(checkpoint or DEFAULT) if isinstance(checkpoint, str | Path | None) else checkpoint
    steps = preparation.listed(prepare)
    check_denoising(net, stride, steps, normalisation, remove_waves=remove_waves)
    # A filter was not trained on any map: it gets the one that suits scans.
    kind = normalisation or (net.card.normalisation if net.card else "plane")
    recorded = as_scan(scan)
    before = treat_waves(
        preparation.prepare(recorded, steps), read_other_trace(recorded), remove=remove_waves
    )
    run = run_network(
        whole_image_network(net), before, kind, stride, uncertainty=uncertainty, progress=progress
    )
    return described(
        before,
        run,
        [*map(preparation.step_name, steps), *["removal of waves"] * remove_waves],
    )


def check_denoising(
    net: Network,
    stride: int,
    prepare: Sequence[preparation.StepOrName],
    normalisation: str | None,
    *,
    remove_waves: bool = False,
) -> None:
    """Find wrong settings of ``denoise`` before there is a scan.

    Raises:
        ValueError: If a setting cannot be used; the message is one sentence.
    """
    if normalisation not in (None, *NORMALISATIONS):
        raise ValueError(f"normalisation is {' or '.join(NORMALISATIONS)}, not {normalisation!r}")
    if not isinstance(remove_waves, bool):
        raise ValueError(f"remove_waves is true or false, not {remove_waves!r}")
    if not isinstance(stride, int) or isinstance(stride, bool) or stride < 1:
        raise ValueError(f"stride is a whole number of px, at least 1, not {stride!r}")
    if net.window is not None:
        tiling.window_starts(net.window, net.window, stride)
    preparation.check_steps(prepare)


def run_network(
    net: Network,
    scan: Scan,
    normalisation: str,
    stride: int,
    *,
    uncertainty: bool = False,
    progress: tiling.Progress | None = None,
) -> NetworkRun:
    """Map the measured part of a scan to [-1, 1] and pass it through a network.

    Args:
        net: For whole images, or with a window.
        scan: After its preparation.
        normalisation: Name of the map.
        stride: Step between windows, px.
        uncertainty: Whether the uncertainty is wanted too.
        progress: Called as ``progress(done, total)``.
    """
    part = measured_part(scan)
    pixels, affine = NORMALISATIONS[normalisation](part.data, scan.name or "image")
    tensor = next(chain(net.parameters(), net.buffers()), torch.zeros(0))  # filters have none
    image = torch.from_numpy(pixels).to(tensor.device)
    run = partial(NetworkRun, net, stride, normalisation, part, affine, image)
    if isinstance(net, LocalRisk):
        mixture = net.whole(image, deviation=uncertainty, progress=progress)
        fitness = assess_fitness(image, mixture, affine.scale, scan.unit)
        return run(mixture.output, mixture.deviation, fitness)
    if isinstance(net, Repairing):
        maps = tiling.join_pieces(partial(_repair, net), image, 3, progress)
        return run(image + maps[0], maps[1] if uncertainty else None, unrepaired=maps[2] > 0)
    deviation = None
    if uncertainty:
        output, deviation = tiling.apply_with_deviation(net, image, net.window, stride, progress)
    else:
        output = tiling.apply_network(net, image, net.window, stride, progress=progress)
    return run(output, deviation)


def _repair(net: Repairing, piece: Tensor) -> Tensor:
    """Return the change of a piece [h, w], its deviation and where damage is left, [3, h, w]."""
    image = piece[None, None]
    with torch.no_grad():
        repair = net.repair(image)
    maps = (repair.output - image, repair.deviation, repair.unrepaired.to(image))
    return torch.cat(maps, 1)[0]


def described(before: Scan, run: NetworkRun, prepared: Sequence[str] = ()) -> Denoised:
    """Bring the output of a network into the units of its scan, and describe it.

    Args:
        before: The scan that the network received.
        run: The network's input and output.
        prepared: Names of the steps of the preparation.
    """
    part, mask = run.part, before.mask
    output = denormalise(run.output.cpu().numpy(), run.affine)
    # Pixels that the network did not change keep their value to the last digit.
    np.copyto(output, part.data, where=(run.output == run.image).cpu().numpy())
    after = part.embed(output, mask)
    del output  # of a large scan half a GiB
    uncertainty = atoms = None
    if run.deviation is not None:
        card = None if isinstance(run.net, LocalRisk) else run.net.card  # a mixture's is calibrated
        calibration = card.calibration if card else 1.0
        deviation = run.deviation * (run.affine.scale * calibration)
        uncertainty = part.embed(deviation.cpu().numpy(), mask)
        if isinstance(run.net, LocalRisk):
            atoms = _uncertain_atoms(run, run.deviation, mask)
    attributes = {field.name: getattr(before, field.name) for field in fields(Scan)}
    attributes["history"] = (*before.history, *history_of(before, run, after, uncertainty, atoms))
    attributes["source"] = None
    attributes["data"] = after if mask.all() else np.where(mask, after, np.nanmedian(after))
    return Denoised(
        **attributes,
        before=before,
        affine=part.recentred(run.affine, mask.shape),
        model=model_name(run.net, run.stride),
        prepared=tuple(prepared),
        uncertainty=uncertainty,
        fitness=run.fitness,
        uncertain_atoms=atoms,
    )


def _uncertain_atoms(run: NetworkRun, deviation: Tensor, mask: Mask) -> UncertainAtoms:
    """Mark the uncertain atoms of a result, in pixels of the whole scan."""
    part = run.part
    image, output, error = (x.cpu().numpy() for x in (run.image, run.output, deviation))
    marked = find_uncertain_atoms(image, output, error, mask[part.rows, part.columns])
    start = np.array([part.rows.start, part.columns.start])
    return marked._replace(invented=marked.invented + start, lost=marked.lost + start)
