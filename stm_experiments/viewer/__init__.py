"""The napari plugin: scans as layers, and a panel for each thing that can be done with them."""
