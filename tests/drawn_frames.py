"""Repeated frames of a drawn surface, scanned while it moves: their shift and drift are known."""

import numpy as np
import scipy

SHAPE = (140, 160)
LARGE = (220, 240)


def draw_surface():
    """Return the splines of an oblique lattice of 11 and 14 px in which some atoms are missing."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.mgrid[-5:40, -30:30], -1).reshape(-1, 2)
    places = grid @ np.array([[10.0, 4.0], [-3.0, 13.7]])
    inside = ((places > 1) & (places < np.array(LARGE) - 2)).all(1)
    places = places[inside & (rng.random(len(places)) > 0.08)]
    rows, columns = places.T
    impulses = np.zeros(LARGE)
    np.add.at(impulses, (np.rint(rows).astype(int), np.rint(columns).astype(int)), 1)
    image = scipy.ndimage.gaussian_filter(impulses, 2.5)
    image /= np.ptp(np.quantile(image, (0.05, 0.95)))
    return scipy.ndimage.spline_filter(image, 5)


def frame_of(surface, shift=(0, 0), drift=(0, 0)):
    """Scan the surface while it moves: what is at p in a still frame is at p + shift here."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    time = rows / (SHAPE[0] - 1) - 0.5
    places = [rows + 40 - shift[0] - drift[0] * time, columns + 40 - shift[1] - drift[1] * time]
    return scipy.ndimage.map_coordinates(surface, places, order=5, prefilter=False)


def true_places(shift, drift):
    """Return where a moving frame shows each pixel of a still one, row and column, [2, H, W]."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    last = SHAPE[0] - 1
    row = (rows + shift[0] - drift[0] / 2) / (1 - drift[0] / last)
    return np.stack([row, columns + shift[1] + drift[1] * (row / last - 0.5)])
