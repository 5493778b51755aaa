"""The main job: simulate or read images, train an autoencoder on their patches, look at it."""

import math
import time
from dataclasses import asdict
from typing import Any

from lightning import LightningModule, seed_everything
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf import DictConfig

from stm_experiments.app import build
from stm_experiments.app.comparison import print_comparison
from stm_experiments.app.job import describe_job, job_folder, restore_config
from stm_experiments.app.launching import Interrupted, launch
from stm_experiments.app.messages import one_sentence
from stm_experiments.data import PatchData
from stm_experiments.evaluation.assess import assess, check_baselines
from stm_experiments.models import checkpoint, interfaces
from stm_experiments.reporting.runs import read_runs
from stm_experiments.training import callbacks, logs
from stm_experiments.training.run_folder import RunFolder


def train(cfg: DictConfig) -> float:
    """Seed, build, fit, score on held-out images and draw, once.

    Args:
        cfg: ``conf/train.yaml``; with ``resume``, only that key counts.

    Returns:
        Error against the noisy test images, for sweepers that optimise; NaN on other ranks.
    """
    settings = build.resolve(restore_config(cfg))
    settings = settings if cfg.resume else build.scale_down(settings)
    run = RunFolder(job_folder(), settings, describe_job())
    try:
        metrics = run.metrics or run_once(settings, run)
    except (KeyboardInterrupt, SystemExit, SIGTERMException):
        # Lightning ends with SystemExit after Ctrl-C.
        run.finish("interrupted")
        message = f"interrupted; resume with: python train.py resume={run.path}"
        raise Interrupted(message) from None
    except BaseException as error:
        run.finish(f"failed: {one_sentence(error)}")
        raise
    if run.leads:
        print(f"{run.path}: config, metrics, checkpoints and figures")
    return next((n for key, n in metrics.items() if key.endswith("/mse_noisy")), math.nan)


def run_once(settings: dict[str, Any], run: RunFolder) -> dict[str, float]:
    """Trains and scores; of several processes that train together, the first one scores."""
    seed_everything(settings["seed"], workers=True, verbose=False)
    model = build.build_model(settings)
    net = model.net
    if settings["init"] is not None and run.last_checkpoint() is None:
        checkpoint.start_from(settings["init"], net)
    data = build.build_data(settings, net.window)
    check_baselines(settings["baselines"], data.settings.window)
    card = build.build_card(settings, net.window)
    loggers = build.build_loggers(settings, run.path, run.about)
    history = callbacks.History(run.path / "metrics.csv")
    first = callbacks.FirstReconstruction(net, data.samples(8).noisy)
    keep = callbacks.Checkpoints(run.checkpoints, settings["checkpoint_minutes"], asdict(card))
    start = time.monotonic()
    try:
        if isinstance(net, interfaces.Fitted):
            net.fit(batch.noisy for batch in data.loader("train"))
            checkpoint.save(net, card, run.checkpoints / "best.ckpt")
        else:
            trainer = build.build_trainer(settings, run.path, [history, first, keep], loggers)
            trainer.fit(model, data, ckpt_path=run.last_checkpoint(), weights_only=True)
            if not run.leads:
                return {}
            choose_weights(model, data, run)
        seconds = time.monotonic() - start
        metrics = assess(net.cpu().eval(), data, run, history, first, settings["baselines"])
        logs.log_results(loggers, metrics, run.path, net, data.samples(8))
    finally:
        logs.close_loggers(loggers)
    run.finish("finished", **history.about(net, seconds))
    return metrics


def choose_weights(model: LightningModule, data: PatchData, run: RunFolder) -> None:
    """Takes the weights of the best validation, where a test split is left to score them."""
    name = "last.ckpt" if data.test_split == "validation" else "best.ckpt"
    model.load_state_dict(checkpoint.read(run.checkpoints / name)["state_dict"])


def main() -> None:
    """Run the command ``stm-train``; a sweep ends with a table of its jobs."""
    launch(train, "train", after_sweep=lambda folder: print_comparison(read_runs(folder)))


if __name__ == "__main__":
    main()
