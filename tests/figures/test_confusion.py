import torch

from stm_experiments.figures.codes.confusion import confusion_figure
from stm_experiments.latent.codes import Codes


def test_each_lattice_has_a_row_of_shares(drawn_texts):
    image = torch.arange(30).repeat_interleave(6)
    lattice = image % 3
    codes = 9.0 * torch.eye(3)[lattice] + torch.randn(180, 3)
    codes[lattice == 2] = codes[lattice == 1] * torch.tensor([1.0, 1.0, 1.0])  # two look alike
    figure = confusion_figure(
        Codes(codes, lattice, image, torch.zeros(180, 3)), ["sc", "bcc", "fcc"], "codes"
    )
    texts = drawn_texts(figure)
    assert texts.count("sc") == 4  # rows and columns of both tables
    for axes in figure.axes:
        shares = torch.tensor([float(text.get_text()) for text in axes.texts]).view(3, 3)
        torch.testing.assert_close(shares.sum(1), torch.ones(3), atol=2e-3, rtol=0)
        assert shares[0, 0] == 1
        assert 0.5 < shares[1:, 1:].sum() < 2.01
        assert axes.get_title().endswith(f"{float(shares.trace()) / 3:.1%}")
