"""Simulated images and the truth about them."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from stm_experiments.simulator.lattices.atoms import Atoms


class Topographs(NamedTuple):
    """Simulated images and the truth about them.

    Attributes:
        noisy: The recorded images: clean and all noise, [N, 1, H, W] float32, not normalised.
        clean: The sample as it is (displaced atoms and defects included) through an ideal
            instrument in the geometry in which it was scanned (drift, creep, jitter of the rows),
            [N, 1, H, W] float32, about 0 to 4.
        lattice: Index of the lattice in ``LATTICES``, [N] int64.
        orientation: Azimuth, tilt, rotation as fractions of their ranges, [N, 3] float64.
        offset: Origin of the lattice as fractions of its conventional cell, [N, 3] float64.
        atoms: The atoms as drawn, u and v in px of the image axes 0 and 1 (pixel 0 is the first),
            zero where not ``present``: padding and atoms that the exclusion removes.
        truth: More truth, by name, of artefacts that the noise can have; [N] unless another shape
            is given, c is the corrugation. Of several lattices, what is known of all images.
            ``corrugation``: c, the 5-95 % range of the clean lattice;
            ``defect_position`` [N, K, 2] (px, axes 0 and 1) and ``defect_kind`` [N, K]:
            ``DefectCode``, NONE on padding; ``defect_substitute`` [N, K]: which of
            ``FlatLattice.substitutes``, from 1 on, 0 none of them;
            ``site`` [N, A]: index of each of ``atoms`` in ``FlatLattice.sites``, -1 an adatom;
            ``wave`` (c of the lattice without it): amplitude of the charge-density waves,
            ``wave_vector`` [N, J, 2] (1/px, axes 0 and 1), ``wave_phase`` [N, D, J] (rad, in each
            domain, of a sample at rest at pixel size // 2), ``wave_domain`` [N, H, W];
            ``strain``, ``displaced`` [N, H, W, 2]: displacement of the sample by strain (px);
            ``fault``: whether there is one, ``fault_strain``, ``beyond_fault`` [N, H, W];
            ``step`` [N, H, W]: True on the upper terrace, ``step_height`` (c);
            ``moved`` [N, H, 2]: line r, column k shows the sample at (r, k) + moved[r] (px);
            ``blur`` (px), ``double``, ``double_shift`` [N, 2] (px);
            ``tip_change`` [N, changes]: line of each change, infinite for never;
            ``striation``, ``striation_kappa`` (rad per px), unless they are the same in all images;
            ``pink`` (c), ``pink_exponent``;
            ``hum`` (c), ``hum_periods`` per line, ``hum_phase``;
            ``tilt``, ``bow`` (c), ``lag`` (px);
            ``row_offset`` (c), ``rows_forward`` and ``rows_backward`` [N, H] (height);
            ``scars`` (share of lines), ``scar_forward`` and ``scar_backward`` [N, H, W]: masks;
            ``stripes_forward`` and ``stripes_backward`` [N, H, W]: masks.
        domain: +1, -1 in the two domains, 0 between them, [N, H, W] int8; None for one domain.
        second_orientation: Orientation of the second domain, [N, 3]; None for one domain.
        backward: The backward trace of the same scan, turned to match ``noisy``, [N, 1, H, W]; None
            unless it was requested.
    """

    noisy: Tensor
    clean: Tensor
    lattice: Tensor
    orientation: Tensor
    offset: Tensor
    atoms: Atoms
    truth: dict[str, Tensor]
    domain: Tensor | None = None
    second_orientation: Tensor | None = None
    backward: Tensor | None = None


def in_order(groups: list[Topographs], order: Tensor) -> Topographs:
    """Concatenate groups of images and bring them into another order.

    Args:
        groups: The groups. The truth that not all of them have is dropped.
        order: Numbers of the images in the new order, [N].
    """

    def join(parts: Sequence[Tensor]) -> Tensor:
        # Lists of atoms, defects and waves differ in length.
        longest = [max(sides) for sides in zip(*(part.shape[1:] for part in parts), strict=True)]
        padded = [
            pad(part, [x for n, m in zip(part.shape[:0:-1], longest[::-1], strict=True)
                       for x in (0, m - n)])
            for part in parts
        ]  # fmt: skip
        joined = torch.cat(padded)
        return joined[order.to(joined.device)]

    first = groups[0]
    shared = [name for name in first.truth if all(name in group.truth for group in groups)]
    return first._replace(
        atoms=Atoms(*(join(parts) for parts in zip(*(g.atoms for g in groups), strict=True))),
        truth={name: join([g.truth[name] for g in groups]) for name in shared},
        **{
            name: join([getattr(group, name) for group in groups])
            for name, value in first._asdict().items()
            if isinstance(value, Tensor)
        },
    )
