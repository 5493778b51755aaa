"""Where images come from: the simulator, image files, microscope scans, striped pairs."""
