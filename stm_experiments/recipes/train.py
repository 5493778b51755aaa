"""The main job: simulate or read images, train an autoencoder on their patches, assess it."""

import math
import sys
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from lightning import seed_everything
from omegaconf import DictConfig

from stm_experiments.app import build, fit, job
from stm_experiments.app.completion import (
    assess_network,
    attempt,
    finish,
    log_again,
    noted_end,
    print_finished,
    scored_weights,
)
from stm_experiments.app.prolong import prolonged_config
from stm_experiments.app.settings import new_config, saved_config
from stm_experiments.core.plugins import plugins_in_use
from stm_experiments.core.results.measures import Measure, check_metric, measure_of
from stm_experiments.core.results.names import current_name
from stm_experiments.core.texts import did_you_mean, printable
from stm_experiments.evaluation.assess import SAMPLES
from stm_experiments.evaluation.baselines import check_baselines
from stm_experiments.evaluation.run_figures import TrainingRecord
from stm_experiments.models import checkpoint
from stm_experiments.models.interfaces import Fitted
from stm_experiments.training import callbacks
from stm_experiments.training.loggers import close_loggers, log_results
from stm_experiments.training.run_folder import RunFolder

DEFAULT_METRIC = "val/loss"  # which networks that are fitted in closed form do not have


def train(cfg: DictConfig) -> float:
    """Run ``conf/train.yaml``, or resume a run, whose own config then counts alone.

    Returns:
        The metric ``optimized_metric``, for sweepers; NaN on other ranks.

    Raises:
        ValueError: If the run has no such metric.
    """
    folder = job.job_folder()
    if cfg.resume:
        settings = prolonged_config(folder, saved_config(folder), cfg.trainer.max_epochs)
    else:
        settings = new_config(cfg)
    run = RunFolder(folder, settings, job.describe_job(), anyway=cfg.resume_anyway)
    if run.metrics is not None and run.leads:
        print_finished(run)
    with noted_end(run):
        metrics = run_once(settings, run) if run.metrics is None else run.metrics
        if run.metrics is not None and run.leads and not run.is_complete:
            finish(run, attempt(partial(log_again, settings, metrics, run)))
    if run.leads:
        print(printable(f"{run.path}: config, metrics, checkpoints and figures"))
        return optimized(metrics, current_name(settings.get("optimized_metric", DEFAULT_METRIC)))
    return math.nan


def check_optimized(name: str, own: Mapping[str, Measure]) -> None:
    """Refuse, before the training, a metric that no run has; a plugin may log any.

    Args:
        name: The value of ``optimized_metric``.
        own: Measures of the run's own objective.

    Raises:
        ValueError: If there is none of that name.
    """
    if plugins_in_use():
        return
    try:
        check_metric(current_name(name), own)
    except ValueError as error:
        raise ValueError(f"optimized_metric={error}") from None


def optimized(metrics: dict[str, float], name: str) -> float:
    """Return the metric that a sweeper optimises; NaN if that is the default one and not there.

    Raises:
        ValueError: If the run has no metric of that name.
    """
    if name not in metrics and name != DEFAULT_METRIC:
        near = did_you_mean(name, list(metrics))
        raise ValueError(f"optimized_metric={name}: metrics.json of this run has none{near}")
    return metrics.get(name, math.nan)


def run_once(settings: dict[str, Any], run: RunFolder) -> dict[str, float]:
    """Build, fit and assess; of several processes that train together, the first one assesses."""
    seed_everything(settings["seed"], workers=True, verbose=False)
    model = build.build_model(settings)
    net = model.net
    best_by = settings.get("optimized_metric", DEFAULT_METRIC)
    check_optimized(best_by, model.measures)
    data = build.build_data(settings, net.window)
    run.settle(data.files)
    last = run.last_checkpoint(model)
    if settings["init"] is not None and last is None:
        checkpoint.start_from(settings["init"], net)
    check_baselines(settings["baselines"], data.settings.window)
    card = build.build_card(settings, net.window)
    if isinstance(net, Fitted):
        fit.refuse_callbacks(settings, net)
    else:
        checkpoint.check_loadable(net, card)
    loggers = fit.build_loggers(settings, run.path, run.about)
    fit.watch(settings, loggers, model)
    history = callbacks.History(run.path / "metrics.csv", fit.logs_steps(settings))
    samples = data.samples(SAMPLES)
    first = callbacks.FirstReconstruction(net, samples.noisy)
    is_highest = measure_of(best_by, model.measures).highest_is_best
    minutes = settings["checkpoint_minutes"]
    writer = callbacks.CheckpointWriter(run.checkpoints, minutes, card, best_by, is_highest)
    start = time.monotonic()
    try:
        if isinstance(net, Fitted):
            net.fit(batch.noisy for batch in data.loader("train"))
            checkpoint.save(net, card, run.checkpoints / "best.ckpt")
        else:
            trainer = fit.build_trainer(settings, run.path, [history, first, writer], loggers)
            trainer.fit(model, data, ckpt_path=last, weights_only=True)
            if not run.leads:
                return {}
            model.load_state_dict(run.trained_weights(model, scored_weights(data)))
        seconds = time.monotonic() - start
        run.note(**history.about(net, seconds))
        record = TrainingRecord(
            history.rows,
            history.curves(),
            first.reconstructions,
            model.curve_label(),
            model.measures,
        )
        numbers = assess_network(net.cpu().eval(), data, record, settings["baselines"], run)
        unlogged = attempt(partial(log_results, loggers, numbers, run.path, net, samples))
    finally:
        failed = sys.exc_info()[0] is not None
        unclosed = attempt(partial(close_loggers, loggers, failed))
    finish(run, unlogged or unclosed)
    return numbers
