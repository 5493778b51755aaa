"""Numbers of the images that Binev et al. published."""

# Published images of each lattice, by split.
PUBLISHED_IMAGES = {
    "sc": {"train": 52, "validation": 6, "test": 7},
    "bcc": {"train": 52, "validation": 6, "test": 7},
    "fcc": {"train": 67, "validation": 7, "test": 7},
}


def published_count(lattice: str, split: str) -> int:
    """Return how many images were published; of a lattice without any, as many as of sc."""
    return PUBLISHED_IMAGES.get(lattice, PUBLISHED_IMAGES["sc"])[split]
