"""The main job: simulate or read images, train an autoencoder on their patches, assess it."""

import math
import time
from typing import Any

from lightning import seed_everything
from omegaconf import DictConfig

from stm_experiments.app import build, comparison, job, launching, tables
from stm_experiments.data import PatchData
from stm_experiments.evaluation.assess import SAMPLES, TrainingRecord, assess, write_assessment
from stm_experiments.evaluation.baselines import check_baselines, fit_baselines
from stm_experiments.evaluation.held_out import score_held_out
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Fitted, Network
from stm_experiments.training import callbacks
from stm_experiments.training.loggers import close_loggers, log_results
from stm_experiments.training.run_folder import RunFolder


def train(cfg: DictConfig) -> float:
    """Run ``conf/train.yaml``, or resume a run, whose own config then counts alone.

    Returns:
        Error compared with the noisy test images, for sweepers that optimise; NaN on other ranks.
    """
    settings = build.resolve(job.restore_config(cfg))
    if not cfg.resume:
        settings = build.scale_down(settings)
    run = RunFolder(job.job_folder(), settings, job.describe_job())
    with job.noted_end(run):
        metrics = run.metrics or run_once(settings, run)
    if run.leads:
        print(f"{run.path}: config, metrics, checkpoints and figures")
    return next((n for key, n in metrics.items() if key.endswith("/mse_noisy")), math.nan)


def run_once(settings: dict[str, Any], run: RunFolder) -> dict[str, float]:
    """Build, fit and assess; of several processes that train together, the first one assesses."""
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
    samples = data.samples(SAMPLES)
    first = callbacks.FirstReconstruction(net, samples.noisy)
    writer = callbacks.CheckpointWriter(run.checkpoints, settings["checkpoint_minutes"], card)
    start = time.monotonic()
    try:
        if isinstance(net, Fitted):
            net.fit(batch.noisy for batch in data.loader("train"))
            checkpoint.save(net, card, run.checkpoints / "best.ckpt")
        else:
            trainer = build.build_trainer(settings, run.path, [history, first, writer], loggers)
            trainer.fit(model, data, ckpt_path=run.last_checkpoint(), weights_only=True)
            if not run.leads:
                return {}
            # The best weights were chosen by validation, and so cannot be scored by it.
            name = "last.ckpt" if data.test_split == "validation" else "best.ckpt"
            model.load_state_dict(checkpoint.read(run.checkpoints / name)["state_dict"])
        seconds = time.monotonic() - start
        record = TrainingRecord(history.rows, history.curves(), first.reconstructions)
        numbers = assess_network(net.cpu().eval(), data, record, settings["baselines"], run)
        log_results(loggers, numbers, run.path, net, samples)
    finally:
        close_loggers(loggers)
    run.finish("finished", **history.about(net, seconds))
    return numbers


def assess_network(
    net: Network, data: PatchData, record: TrainingRecord, components: list[int], run: RunFolder
) -> dict[str, float]:
    """Score a trained network and its baselines, print, draw and write; return the metrics."""
    networks: dict[str, Network] = {net.label: net, **fit_baselines(data, components)}
    scores = score_held_out(networks, data, data.test_split)
    tables.print_scores(scores)
    assessment = assess(networks, data, scores, record)
    tables.print_assessment(assessment)
    write_assessment(assessment, run)
    return assessment.numbers


def main() -> None:
    """Run the command ``stm-train``; a sweep ends with a table of its jobs."""
    launching.launch(train, "train", after_sweep=comparison.print_comparison)


if __name__ == "__main__":
    main()
