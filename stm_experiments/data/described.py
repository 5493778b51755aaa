"""Images together with a description of each, which its patches hand on."""

from dataclasses import dataclass

from stm_experiments.core.descriptions import DESCRIPTIONS
from stm_experiments.data.image_set import Images
from stm_experiments.data.source import ImageSource


@dataclass(frozen=True)
class DescribedImages:
    """The images of a source, each described once when it is simulated or read.

    Attributes:
        source: The images.
        description: A name in ``DESCRIPTIONS``.
    """

    source: ImageSource
    description: str

    @property
    def count(self) -> int:
        """Images in an epoch."""
        return self.source.count

    @property
    def fixed(self) -> bool:
        """Whether every epoch has the same images."""
        return self.source.fixed

    def __call__(self, epoch: int, first: int, last: int) -> Images:
        """Return images ``first`` .. ``last - 1`` of an epoch; ``truth`` has their description."""
        images = self.source(epoch, first, last)
        described = DESCRIPTIONS[self.description].describe(images.noisy)
        return images._replace(truth={**images.truth, "description": described})
