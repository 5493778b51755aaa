"""The two-dimensional Bravais class of an image: the symmetry of its lattice and of what repeats.

A lattice belongs to a class if its vectors have the class's shape and if the image has the class's
symmetry. The first is judged by the strain that would give the vectors this shape, the second by
the amplitudes of the waves that the symmetry turns into each other. Amplitudes depend neither on
the origin nor on a strain of the image, so that drift does not hide the symmetry.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import ndimage

from stm_experiments.core.arrays import Array, Indices, Mask
from stm_experiments.io.scan import Scan
from stm_experiments.lattice.fit import LatticeFit, covered_area
from stm_experiments.lattice.measured import as_measured, fullest_window
from stm_experiments.lattice.vectors import (
    LatticeCandidate,
    LatticeError,
    candidate_lattices,
    explained_waves,
    find_bragg_vectors,
    reduce_vectors,
    refine_lattice,
)

BRAVAIS = ("hexagonal", "square", "rectangular", "centred rectangular", "oblique")
_LARGEST = 2048  # px; of larger images a part is judged
_STRAIN = 0.012  # that counts as a distortion of the scan, and not as another class
_DRIFT = 0.05  # strain up to which it may: a scan that drifted by a tenth of its height
_ASYMMETRY = 0.1  # of amplitudes that counts as an effect of tip and noise
_CLEAR = 2.5  # ratio of a misfit to its limit, or of the limit to it, of a clear case
_AS_GOOD = 0.01  # explained amplitude that a larger cell has to add
_CLOSE = 0.4  # furthest of a Bragg peak from one of a superlattice, frequency steps
_EXPLAINED = 0.8  # least amplitude of the Bragg peaks that a lattice explains in a clear case
_SAME_CELL = 0.1  # furthest of a multiple of a cell from whole numbers of its vectors
_STRONG = 0.3  # least amplitude of a foreign wave that is told, of the strongest one's
_SIGNIFICANT = 15.0  # power of a wave over the background
_BLUR = 0.5  # largest logarithm of a ratio of amplitudes that a tip may cause
_RING = 4  # width of the rings of equal radius whose median is the background, frequency steps
_REACH = 1.3  # radius up to which waves are compared, of the largest of a Bragg peak
_FINEST = 0.45  # the same at most, 1/px


class Symmetry(NamedTuple):
    """The Bravais class of an image.

    Attributes:
        bravais: One of ``BRAVAIS``.
        confidence: ``high`` or ``low``. Low: the runner-up is within a factor of 2.5 of the limits
            of strain or asymmetry, or noise or other waves leave the class open.
        runner_up: The class that would follow next.
        vectors: Of the smallest cell that repeats heights as well as places: the shortest ones in
            nm where the pixel size is known, (row, column), [2, 2] px.
        strain: Half the difference of the principal stretches that separate the vectors from the
            class's shape.
        asymmetry: Root mean square difference of the amplitudes that the class's symmetry turns
            into each other, relative to their root mean square; noise is subtracted.
        foreign: Wave vector (row, column) of the strongest wave that the cell does not explain,
            such as of periodic steps or a charge-density wave, [2] 1/px; None: there is no strong
            one.
    """

    bravais: str
    confidence: str
    runner_up: str
    vectors: Array
    strain: float
    asymmetry: float
    foreign: Array | None


class _Waves(NamedTuple):
    """The waves of a lattice. W waves.

    Attributes:
        orders: Miller indices, [W, 2].
        waves: (row, column), [W, 2] 1/px.
        amplitude: Without what noise adds on average, [W].
        noise: Variance of the amplitude, [W].
        clear: Whether the wave stands out of the background, [W].
    """

    orders: Indices
    waves: Array
    amplitude: Array
    noise: Array
    clear: Mask


class _Fit(NamedTuple):
    """How well an image has the symmetry of a class."""

    misfit: float
    strain: float
    asymmetry: float


def find_symmetry(
    image: Scan | ArrayLike,
    mask: Mask | None = None,
    pixel_nm: tuple[float, float] | None = None,
    sites: Array | None = None,
) -> Symmetry:
    """Find the Bravais class of the lattice that an image shows.

    Nothing is trained: Bragg peaks give the lattice, its weak superlattices included.

    Args:
        image: A scan, or [H, W] in any unit.
        mask: True where the lattice is, [H, W]; None: the scan's mask, or everywhere.
        pixel_nm: Size of a pixel along axes 0 and 1, nm; None: the scan's, or square pixels.
        sites: Vectors of the lattice of the sites, (row, column) each, [2, 2] px: the cell is
            theirs or a multiple of it. None: not known.

    Raises:
        LatticeError: If the Bragg peaks give no lattice.
    """
    measured = as_measured(image, mask, pixel_nm)
    data = _cut_out(measured.data, measured.mask)
    bragg, amplitude = find_bragg_vectors(data)
    size = min(data.shape)
    lattices = candidate_lattices(bragg, amplitude, size) if len(bragg) > 1 else []
    if sites is not None and len(bragg) > 1:
        own = refine_lattice(sites, bragg, amplitude, size)
        lattices = [] if own is None else [own, *_multiples(lattices, own.vectors)]
    if not lattices:
        raise LatticeError("no lattice was found: its symmetry cannot be judged")
    lattice = _true_cell(lattices, bragg, amplitude, size)
    own_waves = explained_waves(lattice.vectors, bragg, size)
    foreign = ~own_waves & (amplitude > _STRONG * amplitude[own_waves].max(initial=0.0))
    pixel = np.array(measured.pixel_nm or (1.0, 1.0))
    vectors = reduce_vectors(lattice.vectors * pixel)
    waves = _measure_waves(data, vectors / pixel, float(np.linalg.norm(bragg, axis=1).max()))
    fits = {name: _fit_class(vectors, waves, turns) for name, turns in _TURNS.items()}
    bravais = _choose(fits)
    runner_up, margin = _doubt(fits, bravais)
    fit = fits.get(bravais, _Fit(0.0, 0.0, 0.0))
    unsure = _noise_share(waves) > _ASYMMETRY or lattice.explained < _EXPLAINED
    confidence = "low" if unsure or margin < _CLEAR else "high"
    return Symmetry(
        bravais,
        confidence,
        runner_up,
        vectors / pixel,
        fit.strain,
        fit.asymmetry,
        bragg[foreign][0] if foreign.any() else None,
    )


def find_symmetries(
    image: ArrayLike, mask: Mask | None, fits: Sequence[LatticeFit]
) -> list[Symmetry | None]:
    """Find the Bravais class of each of the lattices of an image, within its grain.

    Args:
        image: [H, W], as the lattices were found in it.
        mask: True where measured, [H, W]; None: everywhere.
        fits: The lattices.

    Returns:
        None for a lattice whose Bragg peaks do not suffice.
    """
    measured = as_measured(image, mask)
    symmetries: list[Symmetry | None] = []
    for fit in fits:
        area = covered_area(fit, measured.data.shape)
        if measured.mask is not None:
            area &= measured.mask
        try:
            symmetries.append(find_symmetry(measured.data, area, fit.pixel_nm, fit.vectors))
        except LatticeError:
            symmetries.append(None)
    return symmetries


def _cut_out(data: Array, mask: Mask | None) -> Array:
    """Return the smallest rectangle that holds the measured pixels, with their mean elsewhere.

    Of a large image the part with most of them is taken.

    Raises:
        LatticeError: If it is too small.
    """
    valid = np.isfinite(data) if mask is None else np.isfinite(data) & mask
    rows, columns = (np.flatnonzero(valid.any(axis)) for axis in (1, 0))
    if min(len(rows), len(columns)) < 24:
        raise LatticeError("a lattice needs an image of at least 24 px")
    inside = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    part = fullest_window(valid[inside], _LARGEST)
    data, valid = data[inside][part], valid[inside][part]
    return np.where(valid, data, data[valid].mean())


def _multiples(lattices: list[LatticeCandidate], vectors: Array) -> list[LatticeCandidate]:
    """Return the lattices whose cell consists of several cells of the lattice of some vectors."""
    found = []
    for lattice in lattices:
        times = lattice.vectors @ np.linalg.inv(vectors)
        is_whole = np.abs(times - np.round(times)).max() < _SAME_CELL
        if is_whole and abs(np.linalg.det(times)) > 1.5:
            found.append(lattice)
    return found


def _true_cell(
    lattices: list[LatticeCandidate], bragg: Array, amplitude: Array, size: int
) -> LatticeCandidate:
    """Return the smallest cell that explains the Bragg peaks.

    A larger cell needs more than one wave as evidence: a single one, or several along one line, can
    come from the instrument. It also has to explain more than it leaves: some of its waves lie near
    some peaks by chance, and those of incommensurate waves lie near none.

    Args:
        lattices: Candidates.
        bragg: Bragg vectors (row, column), [P, 2] 1/px.
        amplitude: Their amplitudes, [P].
        size: Shorter side of the image, px.
    """
    lattices = sorted(lattices, key=lambda lattice: abs(np.linalg.det(lattice.vectors)))
    best = lattices[0]
    for lattice in lattices[1:]:
        explained = explained_waves(lattice.vectors, bragg, size, _CLOSE)
        more = explained & ~explained_waves(best.vectors, bragg, size)
        rest = ~explained_waves(lattice.vectors, bragg, size)
        gain = amplitude[more].sum()
        if _are_on_a_line(bragg[more], size) or gain < _AS_GOOD * amplitude.sum():
            continue
        if gain > amplitude[rest].sum() or _are_on_a_line(bragg[rest], size):
            best = lattice
    return best


def _are_on_a_line(waves: Array, size: int) -> bool:
    """Return whether wave vectors [P, 2] 1/px have one direction at most."""
    return bool(np.linalg.matrix_rank(waves, tol=1 / size) < 2)


def _measure_waves(data: Array, vectors: Array, radius: float) -> _Waves:
    """Measure the amplitudes of a lattice's waves.

    A Hann-windowed wave has nearly all of its power in the 3x3 frequencies around it, wherever it
    lies between them.

    Args:
        data: [H, W].
        vectors: [2, 2] px.
        radius: Largest of a Bragg peak, 1/px.
    """
    window = np.hanning(data.shape[0])[:, None] * np.hanning(data.shape[1])
    power = np.abs(np.fft.fft2((data - np.average(data, weights=window)) * window)) ** 2
    reach = min(_REACH * radius, _FINEST)
    most = np.ceil(np.linalg.norm(vectors, axis=1) * reach).astype(int)
    grid = np.meshgrid(*(np.arange(-n, n + 1) for n in most), indexing="ij")
    orders = np.stack(grid, -1).reshape(-1, 2)
    waves = orders @ np.linalg.inv(vectors).T
    length = np.linalg.norm(waves, axis=1)
    inside = (length <= reach) & orders.any(1)
    orders, waves = orders[inside], waves[inside]
    place = tuple((np.round(waves * data.shape).astype(int) % data.shape).T)
    background = _background(power)[place]
    summed = 9 * ndimage.uniform_filter(power, 3, mode="wrap")[place]
    amplitude = np.sqrt(np.maximum(summed - 9 * background, 0.0))
    return _Waves(orders, waves, amplitude, background, summed > _SIGNIFICANT * 9 * background)


def _background(power: Array) -> Array:
    """Return the mean power of noise at each frequency, from the median of its ring, [H, W]."""
    height, width = power.shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    ring = (frequency * min(power.shape) / _RING).astype(int)
    medians = ndimage.median(power, ring, np.arange(ring.max() + 1))
    return np.asarray(medians[ring] / np.log(2))  # the power of noise has an exponential law


def _noise_share(waves: _Waves) -> float:
    """Return the root mean square noise of the clear amplitudes relative to them."""
    amplitude, noise = waves.amplitude[waves.clear], waves.noise[waves.clear]
    return float(np.sqrt(noise.sum() / (amplitude**2).sum())) if len(noise) else np.inf


def _find_turns() -> dict[str, list[Indices]]:
    """Return the symmetries of reduced cells: the new vectors in units of the old ones, [2, 2].

    A mirror keeps a primitive rectangular lattice if it changes the vectors by twice a lattice
    vector, else a centred one.
    """
    turns: dict[str, list[Indices]] = {name: [] for name in BRAVAIS[:-1]}
    for entries in itertools.product((-1, 0, 1), repeat=4):
        turn = np.array(entries).reshape(2, 2)
        trace, area = int(np.trace(turn)), round(float(np.linalg.det(turn)))
        if (trace, area) == (1, 1):
            turns["hexagonal"].append(turn)
        elif (trace, area) == (0, 1):
            turns["square"].append(turn)
        elif (trace, area) == (0, -1):
            is_primitive = np.array_equal(turn % 2, np.eye(2))
            turns["rectangular" if is_primitive else "centred rectangular"].append(turn)
    return turns


_TURNS = _find_turns()


def _fit_class(vectors: Array, waves: _Waves, turns: list[Indices]) -> _Fit:
    """Return the fit of the best of several symmetries.

    Args:
        vectors: (row, column) each, in one unit of length, [2, 2].
        waves: The lattice's waves.
        turns: Symmetries, [2, 2] each.
    """
    fits = []
    for turn in turns:
        strain = _strain(vectors, turn)
        asymmetry = _asymmetry(waves, turn)
        fits.append(_Fit(np.hypot(strain / _STRAIN, asymmetry / _ASYMMETRY), strain, asymmetry))
    return min(fits)


def class_metric(vectors: Array, bravais: str) -> Array:
    """Return the scalar products of the nearest vectors that are exactly of a class, [2, 2].

    Args:
        vectors: Reduced, in one unit of length, [2, 2].
        bravais: The class.
    """
    if bravais == "oblique":
        return np.asarray(vectors @ vectors.T)
    turn = min(_TURNS[bravais], key=lambda turn: _strain(vectors, turn))
    return _turned_metric(vectors, turn)


def _turned_metric(vectors: Array, turn: Indices) -> Array:
    """Return the mean scalar products of vectors and of those that a symmetry makes of them."""
    metric = vectors @ vectors.T
    metrics, power = [metric], turn
    while not np.array_equal(power, np.eye(2)):
        metrics.append(power @ metric @ power.T)
        power = power @ turn
    return np.asarray(np.mean(metrics, 0))


def _strain(vectors: Array, turn: Indices) -> float:
    """Return the strain that separates vectors from the nearest ones with a symmetry."""
    metric = _turned_metric(vectors, turn)
    stretches = np.sqrt(np.abs(np.linalg.eigvals(np.linalg.solve(metric, vectors @ vectors.T))))
    return float(np.ptp(stretches) / stretches.sum())


def _asymmetry(waves: _Waves, turn: Indices) -> float:
    """Return the relative difference of the amplitudes that a symmetry turns into each other.

    A tip that blurs one direction more than the other is allowed for: a Gaussian whose logarithm
    is at most ``_BLUR``.
    """
    number = {tuple(order): i for i, order in enumerate(waves.orders.tolist())}
    partner = np.array([number.get(tuple(order), -1) for order in (waves.orders @ turn.T).tolist()])
    first = np.flatnonzero(waves.clear & (partner >= 0))
    second = partner[first]
    if not len(first):
        return np.inf
    one, other = waves.amplitude[first], waves.amplitude[second]
    blur = 0.5 * _blur(waves, first, second)
    one, other = one * np.exp(-blur), other * np.exp(blur)
    noise = (waves.noise[first] + waves.noise[second]).sum() / 2
    difference = max(float(((one - other) ** 2).sum() - noise), 0.0)
    return float(np.sqrt(difference / (one**2 + other**2).sum()))


def _blur(waves: _Waves, first: Indices, second: Indices) -> Array:
    """Fit a quadratic form of the frequency to logarithms of ratios of amplitudes; return it."""
    u, v = waves.waves.T
    form = np.stack([u * u, u * v, v * v], 1)
    change = form[first] - form[second]
    one, other = waves.amplitude[first], waves.amplitude[second]
    both = waves.clear[second]
    weight = np.sqrt(one * other)[both]
    ratio = np.log(one[both] / other[both])
    scale = np.abs(form).max()
    fitted = np.linalg.lstsq(weight[:, None] * change[both] / scale, weight * ratio, rcond=None)[0]
    return np.asarray(np.clip(change / scale @ fitted, -_BLUR, _BLUR))


def _choose(fits: dict[str, _Fit]) -> str:
    """Return the most symmetric class that fits; of equally symmetric ones the better."""
    for names in (BRAVAIS[:2], BRAVAIS[2:4]):
        best = min(names, key=lambda name: fits[name].misfit)
        if fits[best].misfit < 1:
            return best
    return BRAVAIS[-1]


def _doubt(fits: dict[str, _Fit], bravais: str) -> tuple[str, float]:
    """Return the class that would follow next, and by what factor a misfit would have to change.

    Args:
        fits: Of each class but the oblique one.
        bravais: The chosen class.
    """
    margins = {
        name: _exclusion(fits[name])
        for name in (BRAVAIS[:2] if bravais in BRAVAIS[:2] else BRAVAIS[:4])
        if name != bravais
    }
    if bravais != "oblique":
        margins[_less_symmetric(fits, bravais)] = 1 / max(fits[bravais].misfit, 1e-9)
    runner_up = min(margins, key=lambda name: margins[name])
    return runner_up, margins[runner_up]


def _exclusion(fit: _Fit) -> float:
    """Return the factor by which a class exceeds the limits; 1 if drift may be all that does."""
    is_drift = fit.strain < _DRIFT and fit.asymmetry < _CLEAR * _ASYMMETRY
    return 1.0 if is_drift else max(fit.misfit, 1.0)


def _less_symmetric(fits: dict[str, _Fit], bravais: str) -> str:
    """Return the class that a small change of a class's vectors gives."""
    if bravais == "square":
        return min(BRAVAIS[2:4], key=lambda name: fits[name].misfit)
    return "centred rectangular" if bravais == "hexagonal" else "oblique"
