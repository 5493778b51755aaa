"""What a data source is: images of one split, and images of all splits."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from stm_experiments.data.image_set import Images
from stm_experiments.data.settings import PatchSettings


class ImageSource(Protocol):
    """Images of one split: a pure function of epoch and image numbers, and picklable."""

    @property
    def count(self) -> int:
        """Images in an epoch."""

    @property
    def fixed(self) -> bool:
        """Whether every epoch has the same images."""

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Return images ``first`` .. ``last - 1`` of an epoch."""
        ...


class DataSource(Protocol):
    """Images of all splits, as a file of ``conf/data`` describes them."""

    def splits(self, settings: PatchSettings) -> Mapping[str, ImageSource]:
        """Return the images of each split that there is, by its name in ``SPLITS``.

        Args:
            settings: How the images will be cut.

        Raises:
            ValueError: If there are no such images, or they cannot be cut in this way.
        """
        ...


@runtime_checkable
class FileSource(Protocol):
    """A data source that reads files."""

    def files(self) -> Sequence[Path]:
        """Return the files that the images are read from; none if they are simulated.

        Raises:
            ValueError: If there are no such files.
        """
        ...
