"""The networks with which a trained network is compared."""

import pytest
import torch

from stm_experiments.app import build
from stm_experiments.app.settings import resolve
from stm_experiments.evaluation.baselines import check_baselines, fit_baselines, untrained_copy
from stm_experiments.models import CAEA, PCA


@pytest.mark.parametrize("components", [[0], [290], ["10"], 10, None, [10, 2.5]])
def test_numbers_that_cannot_be_fitted_are_refused(components):
    with pytest.raises(ValueError, match="numbers of components from 1 to 289"):
        check_baselines(components, 17)
    check_baselines([], 17)
    check_baselines([1, 289], 17)


def test_one_fit_gives_all_sizes(compose_config, tiny):
    data = build.build_data(resolve(compose_config(*tiny)), 17)
    networks = fit_baselines(data, [2, 5])
    assert list(networks) == ["PCA-2", "PCA-5"]
    alone = PCA(2, 17)
    alone.fit(batch.noisy for batch in data.loader("train"))
    patches = data.samples(3).noisy
    torch.testing.assert_close(networks["PCA-2"](patches), alone(patches), atol=1e-4, rtol=0)
    assert fit_baselines(data, []) == {}


def test_an_untrained_copy_is_always_the_same():
    torch.manual_seed(7)
    net = CAEA()
    first, state = untrained_copy(net), torch.get_rng_state()
    second = untrained_copy(net)
    assert torch.equal(torch.get_rng_state(), state)
    patches = torch.rand(2, 1, 17, 17)
    assert torch.equal(first.eval()(patches), second.eval()(patches))
    assert not torch.equal(first(patches), net.eval()(patches))
