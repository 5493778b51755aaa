"""The speed of simulation and of training, compared with plain PyTorch."""
