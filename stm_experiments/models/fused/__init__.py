"""CAE-A's training step in one pass over a batch, compiled for the CPU by numba (extra ``fast``).

``lanes``: a number of several patches at once. ``convolution``, ``pooling``, ``linear``,
``expansion``: the layers and their gradients. ``cae_a``: the network.
"""
