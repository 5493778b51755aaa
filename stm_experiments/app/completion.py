"""The end of a run: results are assessed and logged, and logged again where that failed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from lightning import seed_everything
from lightning.pytorch.utilities.exceptions import SIGTERMException

from stm_experiments.app import build, fit, tables
from stm_experiments.app.messages import one_sentence
from stm_experiments.core.texts import printable
from stm_experiments.data.module import PatchData
from stm_experiments.evaluation.assess import SAMPLES, assess, write_assessment
from stm_experiments.evaluation.baselines import fit_baselines
from stm_experiments.evaluation.held_out import score_held_out
from stm_experiments.evaluation.run_figures import TrainingRecord
from stm_experiments.metrics.scores import read_scores
from stm_experiments.models.interfaces import Network
from stm_experiments.reporting.checks import check_numbers
from stm_experiments.reporting.paper.published import NETWORKS
from stm_experiments.training.loggers import close_loggers, log_results
from stm_experiments.training.run_folder import RunFolder


class Interrupted(KeyboardInterrupt):
    """The end of a run by Ctrl-C or a signal; the message says how to resume the run."""


@contextmanager
def noted_end(run: RunFolder) -> Iterator[None]:
    """Note in the folder of a run that it was interrupted, or why it failed.

    Raises:
        Interrupted: In place of what Ctrl-C and signals raise.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, SIGTERMException):
        # Lightning ends with SystemExit after Ctrl-C.
        run.finish("interrupted")
        raise Interrupted(f"interrupted; resume with: python train.py resume={run.path}") from None
    except BaseException as error:
        run.finish(f"failed: {one_sentence(error)}")
        raise


def scored_weights(data: PatchData) -> str:
    """Return the checkpoint to score: weights chosen by validation cannot be scored by it."""
    return "last.ckpt" if data.test_split == "validation" else "best.ckpt"


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


def print_finished(run: RunFolder) -> None:
    """Print that a run was assessed before, and its scores.

    Raises:
        ValueError: If the metrics are not numbers.
    """
    metrics = check_numbers(run.metrics or {}, f"{run.path}/metrics.json")
    print(printable(f"{run.path} was trained and assessed before: these are its numbers"))
    network = run.config["model"]["net"]["_target_"].rpartition(".")[2]
    scores, split = read_scores(metrics, NETWORKS.get(network, network))
    tables.print_table(tables.score_table(scores, f"{split} images"), "metrics.json")


def attempt(action: Callable[[], None]) -> str | None:
    """Do something that must not fail a run; return why it failed, in one sentence, or None."""
    try:
        action()
    except Exception as error:
        return one_sentence(error)
    return None


def finish(run: RunFolder, unlogged: str | None) -> None:
    """Note that a run is complete, and why its loggers did not receive everything, if so."""
    if unlogged is not None:
        again = f"resume={run.path} logs it again"
        print(printable(f"the run is complete, but not logged ({unlogged}); {again}"))
    run.finish("finished", unlogged=unlogged)


def log_again(settings: dict[str, Any], metrics: dict[str, float], run: RunFolder) -> None:
    """Log the results of a run that ended, or whose loggers failed, after it was assessed."""
    if not list(fit.chosen(settings, "logger")):
        return
    seed_everything(settings["seed"], workers=True, verbose=False)
    model = build.build_model(settings)
    data = build.build_data(settings, model.net.window)
    model.load_state_dict(run.trained_weights(model, scored_weights(data)))
    loggers = fit.build_loggers(settings, run.path, run.about)
    try:
        log_results(loggers, metrics, run.path, model.net.cpu().eval(), data.samples(SAMPLES))
    finally:
        close_loggers(loggers)
