"""CAE-A on a batch: the squared error and its gradients, a few patches at a time.

The patches of one pass fill the lanes, and their activations (about 300 KB) stay in the cache.
"""

from typing import NamedTuple

from stm_experiments.models.fused.cache import kept_on_disk
from stm_experiments.models.fused.convolution import (
    add_first_gradients,
    add_weight_gradients,
    convolve,
    convolve_and_pool,
    turn_over,
)
from stm_experiments.models.fused.expansion import (
    add_map_gradients,
    add_patch_gradients,
    expand,
    expand_and_compare,
    place,
    shrink,
    shrink_patch,
)
from stm_experiments.models.fused.lanes import LANES, Array, compiled, load, store
from stm_experiments.models.fused.layout import (
    DEEP_MAPS,
    DOWN_PATCH,
    MAPS,
    PATCH,
    PLANE_NARROW,
    PLANE_PATCH,
    PLANE_WIDE,
    WIDE,
)
from stm_experiments.models.fused.linear import (
    FEATURES,
    add_linear_gradients,
    expand_code,
    reduce_features,
)
from stm_experiments.models.fused.pooling import pool, unpool


class Weights(NamedTuple):
    """The parameters of CAE-A, or their gradients, each flat, in the order of its state dict."""

    first: Array
    first_bias: Array
    second: Array
    second_bias: Array
    to_code: Array
    to_code_bias: Array
    from_code: Array
    from_code_bias: Array
    maps: Array
    maps_bias: Array
    patch: Array
    patch_bias: Array


class Activations(NamedTuple):
    """Memory for the numbers of one pass; a name with ``g_`` holds a gradient.

    All but the last two are arrays of lanes: planes, or maps without a border.
    """

    patch: Array
    target: Array
    pooled: Array
    pooled_winners: Array
    deep: Array
    features: Array
    feature_winners: Array
    code: Array
    restored: Array
    restored_planes: Array
    maps: Array
    g_patch: Array
    g_maps: Array
    g_restored: Array
    g_code: Array
    g_features: Array
    g_deep: Array
    g_pooled: Array
    used: Array
    error: Array
    turned: Array
    zeros: Array


def memory_sizes(latent: int) -> dict[str, int]:
    """Return the sizes of all memory by the names of ``Activations``, floats."""
    lanes = {
        "patch": PLANE_PATCH,
        "target": PLANE_PATCH,
        "pooled": MAPS * PLANE_WIDE,
        "pooled_winners": MAPS * WIDE * WIDE,
        "deep": DEEP_MAPS * PLANE_WIDE,
        "features": FEATURES,
        "feature_winners": FEATURES,
        "code": latent,
        "restored": FEATURES,
        "restored_planes": DEEP_MAPS * PLANE_NARROW,
        "maps": MAPS * PLANE_WIDE,
        "g_patch": PLANE_PATCH,
        "g_maps": MAPS * PLANE_WIDE,
        "g_restored": FEATURES,
        "g_code": latent,
        "g_features": FEATURES,
        "g_deep": DEEP_MAPS * PLANE_WIDE,
        "g_pooled": MAPS * PLANE_WIDE,
        "used": 1,
        "error": 1,
    }
    floats = {"turned": MAPS * DEEP_MAPS * 9, "zeros": max(FEATURES, latent)}
    return {name: size * LANES for name, size in lanes.items()} | floats


@compiled
def read_patches(patches: Array, first: int, plane: Array) -> int:
    """Put the patches from number ``first`` on into lanes.

    Args:
        patches: [B, 17 * 17].
        first: Number of the first patch.
        plane: Plane of 17x17 px; receives them.

    Returns:
        How many there are; the other lanes stay as they are.
    """
    count = min(LANES, len(patches) - first)
    for lane in range(count):
        k = 0
        for row in range(1, PATCH + 1):
            for column in range(1, PATCH + 1):
                at = row * DOWN_PATCH + column
                plane[at * LANES + lane] = patches[first + lane, k]
                k += 1
    return count


@compiled
def forward(m: Activations, w: Weights, target: Array) -> float:
    """Return the squared error of the patches of one pass, and keep all activations."""
    latent = len(w.to_code_bias)
    convolve_and_pool(m.patch, w.first, w.first_bias, m.pooled, m.pooled_winners)
    convolve(m.pooled, w.second, w.second_bias, m.deep, MAPS, DEEP_MAPS)
    pool(m.deep, m.features, m.feature_winners)
    reduce_features(m.features, w.to_code, w.to_code_bias, m.code, (FEATURES, 1))
    expand_code(m.code, w.from_code, w.from_code_bias, m.restored, (latent, 1, latent))
    place(m.restored, m.restored_planes)
    expand(m.restored_planes, w.maps, w.maps_bias, m.maps)
    error = expand_and_compare(m.maps, w.patch, w.patch_bias, target, m.g_patch, load(m.used, 0))
    store(m.error, 0, error)
    total = 0.0
    for lane in range(LANES):
        total += m.error[lane]
    return total


@compiled
def backward(m: Activations, w: Weights, sums: Weights) -> None:
    """Add half the gradients of the squared error of one pass, lane by lane."""
    latent = len(w.to_code_bias)
    add_patch_gradients(m.maps, m.g_patch, sums.patch, sums.patch_bias)
    shrink_patch(m.g_patch, w.patch, m.maps, m.g_maps, sums.maps_bias)
    add_map_gradients(m.restored_planes, m.g_maps, sums.maps)
    shrink(m.g_maps, w.maps, m.g_restored)
    add_linear_gradients(
        m.code, m.g_restored, sums.from_code, sums.from_code_bias, (FEATURES, latent)
    )
    reduce_features(m.g_restored, w.from_code, m.zeros[:latent], m.g_code, (1, latent))
    add_linear_gradients(m.features, m.g_code, sums.to_code, sums.to_code_bias, (latent, FEATURES))
    expand_code(m.g_code, w.to_code, m.zeros, m.g_features, (latent, FEATURES, 1))
    unpool(m.g_features, m.feature_winners, m.g_deep, sums.second_bias)
    add_weight_gradients(m.pooled, m.g_deep, sums.second)
    convolve(m.g_deep, m.turned, m.zeros, m.g_pooled, DEEP_MAPS, MAPS)
    add_first_gradients(m.patch, m.g_pooled, m.pooled_winners, sums.first, sums.first_bias)


@kept_on_disk
def squared_error(
    noisy: Array, target: Array, weights: Weights, memory: Activations, sums: Weights
) -> float:
    """Return the squared error of a batch and add half its gradients.

    Args:
        noisy: Patches [B, 289].
        target: What the network should output, [B, 289]; the same memory as ``noisy`` if that is
            its input.
        weights: The parameters.
        memory: Zeros.
        sums: Arrays of lanes; receive the gradients, lane by lane. Empty: no gradients.

    Returns:
        The squared error, summed over all px.
    """
    turn_over(weights.second, memory.turned)
    for lane in range(LANES):
        memory.used[lane] = 1
    has_gradients = len(sums.first) > 0
    total = 0.0
    for first in range(0, len(noisy), LANES):
        count = read_patches(noisy, first, memory.patch)
        read_patches(target, first, memory.target)
        for lane in range(count, LANES):
            memory.used[lane] = 0
        total += forward(memory, weights, memory.target)
        if has_gradients:
            backward(memory, weights, sums)
    return total
