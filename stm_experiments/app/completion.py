"""The end of a run: results are logged, and logged again where that failed or was interrupted."""

from collections.abc import Callable
from typing import Any

from lightning import seed_everything

from stm_experiments.app import build
from stm_experiments.app.messages import one_sentence
from stm_experiments.data import PatchData
from stm_experiments.evaluation.assess import SAMPLES
from stm_experiments.training.loggers import close_loggers, log_results
from stm_experiments.training.run_folder import RunFolder


def scored_weights(data: PatchData) -> str:
    """Return the checkpoint to score: weights chosen by validation cannot be scored by it."""
    return "last.ckpt" if data.test_split == "validation" else "best.ckpt"


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
        print(f"the run is complete, but not logged ({unlogged}); resume={run.path} logs it again")
    run.finish("finished", unlogged=unlogged)


def log_again(settings: dict[str, Any], metrics: dict[str, float], run: RunFolder) -> None:
    """Log the results of a run that ended, or whose loggers failed, after it was assessed."""
    if "_target_" not in settings["logger"]:
        return
    seed_everything(settings["seed"], workers=True, verbose=False)
    model = build.build_model(settings)
    data = build.build_data(settings, model.net.window)
    model.load_state_dict(run.trained_weights(model, scored_weights(data)))
    loggers = build.build_loggers(settings, run.path, run.about)
    try:
        log_results(loggers, metrics, run.path, model.net.cpu().eval(), data.samples(SAMPLES))
    finally:
        close_loggers(loggers)
