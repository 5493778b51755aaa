"""Atoms drawn by the tests: a jittered lattice, its picture, and noise."""

import numpy as np
import torch

SIZE = 96


def grid(period=9.3, jitter=0.0, seed=0):
    """Positions of a square lattice whose period fits no pixel, [A, 2] px."""
    line = np.arange(6.4, SIZE - 6, period)
    points = np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)
    return points + jitter * np.random.default_rng(seed).standard_normal(points.shape)


def picture(points, width=2.0, height=1.5):
    """Gaussians at some points on a ground of -1, [SIZE, SIZE]."""
    pixel = np.arange(SIZE)
    rows, columns = (np.exp(-0.5 * ((pixel - x[:, None]) / width) ** 2) for x in points.T)
    return torch.from_numpy(height * rows.T @ columns - 1).float()


def white(sigma, seed=0):
    return sigma * torch.randn(SIZE, SIZE, generator=torch.Generator().manual_seed(seed))
