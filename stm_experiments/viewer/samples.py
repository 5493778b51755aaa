"""Simulated topographs with the truth about them."""

from functools import partial

import numpy as np

from stm_experiments.io.scan import Scan
from stm_experiments.viewer.layers import LayerData, image_layer, labels_layer, points_layer

SIZE = 256  # px
SEED = 0


def simulate_layers(lattice: str, noise: str) -> list[LayerData]:
    """Simulate a topograph, and return it with its truth: what is clean, atoms, defects and scars.

    Args:
        lattice: Name of a lattice.
        noise: Name of a noise in ``conf/noise``.
    """
    import torch

    from stm_experiments.simulator import simulate

    batch = simulate(lattice, [SEED], noise, size=SIZE)
    noisy, clean = (
        Scan(
            image[0, 0].double().numpy(), np.ones((SIZE, SIZE), bool), "", None, lattice, name=title
        )
        for title, image in (("simulated", batch.noisy), ("clean", batch.clean))
    )
    title = f"{lattice}, {noise} noise"
    atoms = torch.stack([batch.atoms.u[0], batch.atoms.v[0]], 1)[batch.atoms.present[0]].numpy()
    inside = ((atoms > -0.5) & (atoms < SIZE - 0.5)).all(1)
    places = {"atoms": atoms[inside]}
    if "defect_kind" in batch.truth:
        found = batch.truth["defect_kind"][0] > 0
        places["defects"] = batch.truth["defect_position"][0][found].numpy()
    layers = [image_layer(clean, f"{title}: truth, clean", visible=False)]
    layers.append(image_layer(noisy, title))
    for name, mask in batch.truth.items():
        if name in ("scar_forward", "stripes_forward") and mask[0].any():
            layers.append(labels_layer(mask[0].numpy(), noisy, f"{title}: truth, {name[:-8]}"))
    colours = {"atoms": "cyan", "defects": "red"}
    return layers + [
        points_layer(
            points, noisy, f"{title}: truth, {name}", border_color=colours[name], visible=False
        )
        for name, points in places.items()
    ]


terraces = partial(simulate_layers, "fcc", "realistic")
waves = partial(simulate_layers, "tise2", "realistic")
defects = partial(simulate_layers, "mos2", "realistic_hard")
stripes = partial(simulate_layers, "sc", "stripes")
