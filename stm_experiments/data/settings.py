"""How images are cut into patches, and patches put into batches."""

from dataclasses import dataclass

import torch

from stm_experiments.core.descriptions import check_description

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class PatchSettings:
    """How images are cut into patches, and patches put into batches.

    Attributes:
        window: Patch size, px; the network's.
        batch_size: Patches of a training step, over all devices.
        patches_per_image: Patches that are cut from each image and epoch at random positions;
            ignored on a grid.
        sampling: ``random`` positions, or a ``grid`` of every ``stride``-th pixel (as the paper's
            text says).
        stride: Step of the grid, px.
        augment: Turn and flip each training patch at random (the eight symmetries of the square).
        fresh: Draw new images (simulated) or new positions (files) in every epoch; False: fix them
            before training, as the paper's code does.
        num_workers: Processes that simulate ahead of the trainer; None: one where more than two
            threads train. (On two cores a process would cost more than it saves.)
        seed: Seed of everything random.
        need_clean: Whether training compares with noise-free images.
        description: Name in ``DESCRIPTIONS`` of the description of its image that each patch brings
            along; None: none.
        centred: Whether each patch brings along its centred patch and its phases (simulated data).

    Raises:
        ValueError: If a number makes no sense, or there is no such description.
    """

    window: int
    batch_size: int = 256
    patches_per_image: int = 1
    sampling: str = "random"
    stride: int = 4
    augment: bool = False
    fresh: bool = True
    num_workers: int | None = None
    seed: int = 0
    need_clean: bool = False
    description: str | None = None
    centred: bool = False

    def __post_init__(self) -> None:
        check_whole_numbers(
            window=self.window,
            batch_size=self.batch_size,
            patches_per_image=self.patches_per_image,
            stride=self.stride,
        )
        check_whole_numbers(least=0, num_workers=self.workers)
        if self.sampling not in ("random", "grid"):
            raise ValueError(f"data.sampling is 'random' or 'grid', not {self.sampling!r}")
        if self.description is not None:
            check_description(self.description)

    @property
    def workers(self) -> int:
        """Processes that simulate ahead of the trainer."""
        if self.num_workers is None:
            return 1 if torch.get_num_threads() > 2 else 0
        return self.num_workers

    def require(self, source: str, **values: object) -> None:
        """Refuse settings that a source cannot follow.

        Args:
            source: What the source gives, for the message.
            values: The only value of each setting that the source can follow.

        Raises:
            ValueError: If a setting has another value.
        """
        for name, value in values.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"data.{name} must be {value!r} for {source}, got {getattr(self, name)!r}"
                )


def check_whole_numbers(least: int = 1, **counts: int) -> None:
    """Refuse counts that make no sense, by the name of their key.

    Raises:
        ValueError: If a count is not a whole number of at least ``least``.
    """
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(
                f"data.{name} must be a whole number of at least {least}, got {value!r}"
            )


def part_of(count: int, fraction: float) -> int:
    """Return a fraction of a number of images, at least one.

    Raises:
        ValueError: If the fraction is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"data.fraction is above 0 and at most 1, not {fraction!r}")
    return max(1, round(count * fraction))
