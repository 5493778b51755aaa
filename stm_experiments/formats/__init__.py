"""Readers of image and microscope files: one file per format, numbers out."""

from stm_experiments.formats.read import list_channels, read_scan
from stm_experiments.formats.scan import Scan, ScanError

__all__ = ["Scan", "ScanError", "list_channels", "read_scan"]
