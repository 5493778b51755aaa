"""Images, simulated or from files, cut into batches of patches.

Lightning's data module is in ``module``: its import takes seconds that most commands do not need.
"""

from stm_experiments.core.batch import Batch
from stm_experiments.data.image_set import Images, lattice_names
from stm_experiments.data.loader import PatchLoader
from stm_experiments.data.settings import PatchSettings
from stm_experiments.data.sites.simulated_sites import SimulatedSites
from stm_experiments.data.sites.site_data import SiteData
from stm_experiments.data.source import DataSource, ImageSource
from stm_experiments.data.sources.any_surface import AnySurfaceData
from stm_experiments.data.sources.images import ImageData
from stm_experiments.data.sources.scans import ScanData
from stm_experiments.data.sources.simulated import SimulatedData
from stm_experiments.data.sources.striped import StripedData

__all__ = [
    "AnySurfaceData",
    "Batch",
    "DataSource",
    "ImageData",
    "ImageSource",
    "Images",
    "PatchLoader",
    "PatchSettings",
    "ScanData",
    "SimulatedData",
    "SimulatedSites",
    "SiteData",
    "StripedData",
    "lattice_names",
]
