import numpy as np
import pandas as pd

from stm_experiments.reporting.latent_cloud import RunCodes, cloud_html, latent_cloud


def test_a_run_without_a_column_is_grey_and_large_clouds_are_thinned():
    columns = {name: np.arange(20_000.0) for name in ("pc1", "pc2", "pc3", "tilt")}
    both = [
        RunCodes("whole", pd.DataFrame(columns)),
        RunCodes("bare", pd.DataFrame(columns).drop(columns="tilt")),
    ]
    figure = latent_cloud(both)
    assert [len(trace.x) for trace in figure.data] == [10_000, 10_000]
    assert figure.data[1].marker.color == "#999999"
    assert not figure.data[1].marker.showscale
    bare = latent_cloud(both[1:])
    assert len(bare.layout.updatemenus) == 1


def test_names_are_text_and_never_markup():
    odd = "</script><script>alert(1)</script> <b>&'"
    columns = {name: np.arange(4.0) for name in ("pc1", "pc2", "pc3")}
    columns["lattice"] = [odd, "sc", odd, "sc"]
    html = cloud_html(latent_cloud([RunCodes(odd, pd.DataFrame(columns | {odd: columns["pc1"]}))]))
    assert "alert(1)" in html
    assert "<script>alert" not in html
    assert "<b>" not in html
    assert html.count("</script>") == 1
