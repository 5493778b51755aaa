"""Principal components of codes: equal to scikit-learn's, whatever the shape."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from stm_experiments.latent.components import principal_components


def codes_of(count, dimensions):
    random = torch.Generator().manual_seed(0)
    return torch.randn(count, dimensions, generator=random) * torch.arange(1.0, dimensions + 1)


def test_components_equal_scikit_learn():
    codes = codes_of(200, 5)
    components = principal_components(codes)
    expected = PCA().fit(codes.double().numpy())
    explained = expected.explained_variance_ratio_
    np.testing.assert_allclose(components.explained.numpy(), explained, atol=1e-12)
    points = expected.transform(codes.double().numpy())
    np.testing.assert_allclose(np.abs(components.points.numpy()), np.abs(points), atol=1e-10)
    # Neither a shift nor a rotation of the codes changes the explained variance.
    rotation = torch.linalg.qr(torch.randn(5, 5)).Q
    moved = principal_components((codes + 100) @ rotation)
    torch.testing.assert_close(moved.explained, components.explained, atol=1e-4, rtol=0)


def test_components_by_hand():
    # Variances 4 and 1 along the axes: 80 % and 20 %.
    codes = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    components = principal_components(codes)
    torch.testing.assert_close(components.explained, torch.tensor([0.8, 0.2]).double())
    torch.testing.assert_close(components.points, codes.double())


def test_fewer_codes_than_dimensions_leave_the_last_axes_empty():
    components = principal_components(codes_of(3, 10))
    assert components.points.shape == (3, 10)
    assert components.explained.shape == (10,)
    assert not components.points[:, 3:].any()
    assert components.explained.sum().item() == pytest.approx(1)


def test_equal_codes_explain_nothing():
    components = principal_components(torch.ones(5, 3))
    assert not components.explained.any()
    assert not components.points.any()


@pytest.mark.parametrize(
    ("codes", "message"),
    [(torch.ones(1, 3), "at least two"), (torch.full((5, 3), torch.nan), "finite")],
)
def test_unusable_codes_are_refused(codes, message):
    with pytest.raises(ValueError, match=message):
        principal_components(codes)
