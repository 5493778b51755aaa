"""The lattice sites of images through a trained rVAE: classes, anomalies, a list and pictures."""

from omegaconf import DictConfig

from stm_experiments.app.job import new_folder
from stm_experiments.app.settings import resolve
from stm_experiments.core.texts import printable
from stm_experiments.data.sites.site_data import read_site_images
from stm_experiments.evaluation.site_report import examine_sites, write_sites
from stm_experiments.figures.canvas import save_figure
from stm_experiments.io.given_units import check_unit_settings
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Variational


def find_sites(cfg: DictConfig) -> None:
    """Find the sites of images, and say which of them are anomalous.

    Args:
        cfg: ``conf/find_sites.yaml`` as composed.

    Raises:
        ValueError: If the model was not trained on sites, or none of the images can be used.
    """
    settings = resolve(cfg)
    folder = new_folder()
    check_unit_settings(None, settings["pixel_nm"])
    net = checkpoint.load(settings["checkpoint"])
    width = net.card.config.get("data", {}).get("width") if net.card else None
    if not isinstance(net, Variational) or width is None:
        raise ValueError(
            f"{settings['checkpoint']}: not a model of lattice sites; train one with "
            "experiment=mos2_rvae"
        )
    images = read_site_images(
        settings["image"], settings["channel"], net.window, width, settings["pixel_nm"]
    )
    report = examine_sites(net, images, settings["classes"], settings["method"])
    write_sites(report, folder / "sites.csv")
    pictures = ", ".join(
        f"{name}{ending}"
        for name, figure in report.figures.items()
        for ending in save_figure(figure, folder / f"{name}.png")
    )
    print(printable(f"{folder}: sites.csv ({len(report.sites.image)} sites), {pictures}"))
