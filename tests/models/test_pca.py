"""Principal components, against scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA as Reference

from stm_experiments.models import PCA


def random_patches(count=2000, window=9, seed=0):
    """Patches [count, 1, w, w] with a mean and 12 directions of very different strength."""
    random = torch.Generator().manual_seed(seed)
    codes = torch.randn(count, 12, generator=random) * torch.logspace(0, -1, 12)
    directions = torch.randn(12, window**2, generator=random) / window
    mean = torch.rand(window**2, generator=random) - 0.5
    noise = 0.02 * torch.randn(count, window**2, generator=random)
    return (codes @ directions + mean + noise).view(count, 1, window, window)


def fitted(components, patches, batch=500):
    pca = PCA(components, patches.shape[-1])
    pca.fit(patches.split(batch))
    return pca


@pytest.mark.parametrize("components", [1, 5, 12])
def test_equals_scikit_learn(components):
    patches, others = random_patches(), random_patches(300, seed=1)
    ours = fitted(components, patches)
    rows = patches.flatten(1).double().numpy()
    reference = Reference(components, svd_solver="full").fit(rows)
    np.testing.assert_allclose(ours.mean, reference.mean_, atol=1e-5)
    assert ours.components.shape == (components, 81)
    np.testing.assert_allclose(ours.components @ ours.components.T, np.eye(components), atol=1e-5)
    np.testing.assert_allclose(
        ours.components.T @ ours.components,
        reference.components_.T @ reference.components_,
        atol=1e-4,
    )
    signs = np.sign((ours.components.numpy() * reference.components_).sum(1))
    np.testing.assert_allclose(
        ours.components.numpy() * signs[:, None], reference.components_, atol=1e-3
    )
    rows = others.flatten(1).double().numpy()
    back = reference.inverse_transform(reference.transform(rows))
    np.testing.assert_allclose(ours(others).flatten(1), back, atol=1e-4)
    error = ((ours(others) - others) ** 2).mean()
    assert float(error) == pytest.approx(((back - rows) ** 2).mean(), rel=1e-4)


def test_does_not_depend_on_the_batches():
    patches = random_patches()
    whole = fitted(8, patches, 2000)
    for batch in (1, 7, 999):
        other = fitted(8, patches[:2000], batch)
        torch.testing.assert_close(other.mean, whole.mean, atol=1e-5, rtol=0)
        torch.testing.assert_close(other.components, whole.components, atol=1e-3, rtol=0)


def test_truncated_is_a_smaller_fit():
    patches = random_patches()
    small, cut = fitted(4, patches), fitted(12, patches).truncated(4)
    assert torch.equal(small.mean, cut.mean)
    assert torch.equal(small.components, cut.components)


def test_encode_decode_and_forward_agree():
    patches = random_patches(100)
    pca = fitted(6, patches)
    codes = pca.encode(patches)
    assert codes.shape == (100, 6)
    assert torch.equal(pca.decode(codes), pca(patches))
    # A projection: its own output is left as it is, and the codes are uncorrelated.
    torch.testing.assert_close(pca(pca(patches)), pca(patches), atol=1e-5, rtol=0)
    torch.testing.assert_close(codes.mean(0), torch.zeros(6), atol=1e-5, rtol=0)
    covariance = torch.cov(codes.T)
    assert (covariance - covariance.diag().diag()).abs().max() < 1e-4 * covariance.max()
    assert (covariance.diag().diff() < 0).all()


def test_all_components_copy_the_patch():
    patches = random_patches(300)
    torch.testing.assert_close(fitted(81, patches)(patches), patches, atol=1e-4, rtol=0)


@pytest.mark.parametrize("components", [0, -1, 290])
def test_impossible_numbers_of_components_are_refused(components):
    with pytest.raises(ValueError, match=f"takes 1 to 289 components, got {components}"):
        PCA(components)


@pytest.mark.parametrize("count", [0, 3, 10])
def test_too_few_patches_are_refused(count):
    with pytest.raises(ValueError, match=f"needs more patches, got {count}"):
        PCA(10, 5).fit([torch.randn(count, 1, 5, 5)] if count else [])
