"""Images, simulated or from files, cut into batches of patches."""

from stm_experiments.data.batch import LABELS, Batch, Images
from stm_experiments.data.loader import PatchLoader
from stm_experiments.data.module import PatchData
from stm_experiments.data.sites.simulated_sites import SimulatedSites
from stm_experiments.data.sites.site_data import SiteData
from stm_experiments.data.sources.images import ImageData
from stm_experiments.data.sources.scans import ScanData
from stm_experiments.data.sources.simulated import SimulatedData
from stm_experiments.data.sources.striped import StripedData

__all__ = [
    "LABELS",
    "Batch",
    "ImageData",
    "Images",
    "PatchData",
    "PatchLoader",
    "ScanData",
    "SimulatedData",
    "SimulatedSites",
    "SiteData",
    "StripedData",
]
