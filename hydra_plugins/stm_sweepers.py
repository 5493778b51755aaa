"""A sweeper whose next job follows from the results of those before, by Optuna.

Hydra finds sweepers only in this namespace, and imports the file at every start: what is slow to
import is imported where it is used.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    IntervalSweep,
    Override,
    RangeSweep,
)
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, open_dict

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution

log = logging.getLogger(__name__)


class Settings(NamedTuple):
    """The keys of conf/hydra/sweeper/optuna.yaml."""

    n_trials: int
    n_jobs: int
    direction: str | None
    sampler: str
    pruner: str | None
    seed: int | None
    storage: str | None
    study_name: str


class OptunaSweeper(Sweeper):
    """Asks Optuna for the keys of the next jobs, and tells it ``optimized_metric`` of each.

    A job that fails counts as a failed trial, and the study goes on. A sweep that is started again
    in its folder goes on too: trials that were under way are resumed in their run folders.

    Args:
        params: Keys and the values between which Optuna chooses, as on the command line.
        settings: Those of ``Settings``.
    """

    def __init__(self, params: dict[str, str] | None = None, **settings: Any) -> None:
        self.params = dict(params or {})
        self.settings = Settings(**settings)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra gives; called by Hydra once, before any job."""
        self.config: DictConfig = config
        self.loader = hydra_context.config_loader
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the study; called by Hydra.

        Args:
            arguments: Overrides of the command line.

        Raises:
            RuntimeError: If Optuna is not installed, or no trial has succeeded.
            ValueError: If a setting or the range of a key makes no sense.
        """
        texts = [f"{key}={value}" for key, value in self.params.items()] + arguments
        overrides = OverridesParser.create().parse_overrides(texts)
        fixed = [o.input_line or "" for o in overrides if not o.is_sweep_override()]
        study = self.open_study()
        space = {o.get_key_element(): distribution(o) for o in overrides if o.is_sweep_override()}
        if not space:
            raise ValueError(
                "hydra/sweeper=optuna needs keys to choose, such as "
                "'model.optimizer.lr=tag(log,interval(1e-4,1e-2))'"
            )
        for number, chosen in unfinished(study):
            self.run(study, number, [[*chosen, *fixed]])
        while (left := self.settings.n_trials - len(study.trials)) > 0:
            trials = [study.ask(space) for _ in range(min(left, self.settings.n_jobs))]
            jobs = [[f"{key}={trial.params[key]}" for key in space] for trial in trials]
            for trial, keys in zip(trials, jobs, strict=True):
                trial.set_user_attr("overrides", keys)
            self.run(study, trials[0].number, [[*keys, *fixed] for keys in jobs])
        os.environ.pop("STM_STUDY", None)
        report(study, Path(self.config.hydra.sweep.dir))

    def open_study(self) -> "Study":
        """Return the study, a new one or that of a sweep that is started again.

        Raises:
            RuntimeError: If Optuna is not installed.
            ValueError: If there is no such sampler or pruner.
        """
        try:
            import optuna
        except ImportError:
            raise RuntimeError(
                "hydra/sweeper=optuna needs: pip install 'stm_experiments[sweeps]'"
            ) from None
        from stm_experiments.core.results.measures import measure_of

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = self.settings.seed
        samplers: dict[str, Any] = {
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed),
            "random": lambda: optuna.samplers.RandomSampler(seed=seed),
            "gp": lambda: optuna.samplers.GPSampler(seed=seed),
            "qmc": lambda: optuna.samplers.QMCSampler(seed=seed),
        }
        pruners = {
            None: optuna.pruners.NopPruner,
            "median": optuna.pruners.MedianPruner,
            "halving": optuna.pruners.SuccessiveHalvingPruner,
            "hyperband": optuna.pruners.HyperbandPruner,
        }
        for name, choice, known in (
            ("sampler", self.settings.sampler, samplers),
            ("pruner", self.settings.pruner, pruners),
            ("direction", self.settings.direction, (None, "minimize", "maximize")),
        ):
            if choice not in known:
                listed = ", ".join(str(each) for each in known if each)
                raise ValueError(f"hydra.sweeper.{name} is one of {listed}, not {choice!r}")
        direction: Any = self.settings.direction  # checked above
        if direction is None:
            is_highest = measure_of(self.config.optimized_metric).highest_is_best
            direction = "maximize" if is_highest else "minimize"
        if self.settings.pruner is not None and direction != "minimize":
            raise ValueError("hydra.sweeper.pruner follows val/loss, of which the lowest is best")
        folder = Path(self.config.hydra.sweep.dir).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        storage = self.settings.storage or f"sqlite:///{folder / 'optuna.db'}"
        if self.settings.pruner is not None:
            from stm_experiments.training.callbacks.pruning import STUDY

            os.environ[STUDY] = f"{self.settings.study_name}|{storage}"
        return optuna.create_study(
            study_name=self.settings.study_name,
            storage=storage,
            sampler=samplers[self.settings.sampler](),
            pruner=pruners[self.settings.pruner](),
            direction=direction,
            load_if_exists=True,
        )

    def run(self, study: "Study", first: int, overrides: Sequence[Sequence[str]]) -> None:
        """Run jobs and tell their results.

        Args:
            study: Of their trials.
            first: Number of the first one; the others follow it.
            overrides: Of each job.
        """
        from optuna.trial import TrialState

        try:
            self.launcher.launch([list(each) for each in overrides], initial_job_idx=first)
        except RuntimeError as error:
            log.warning(f"{error}")  # of a launcher that waits for all of its jobs
        for number, keys in enumerate(overrides, first):
            value, reason = self.result(number, keys)
            if value is None:
                log.warning(f"trial {number} failed: {reason}")
                study.tell(number, state=TrialState.FAIL)
            elif "pruned" in study.trials[number].user_attrs:
                log.info(f"trial {number} was pruned at {value:g}")
                study.tell(number, state=TrialState.PRUNED)
            else:
                study.tell(number, value)
                log.info(f"trial {number}: {value:g}; best so far: {study.best_value:g}")

    def result(self, number: int, overrides: Sequence[str]) -> tuple[float | None, str]:
        """Return the metric of a job as its folder holds it, or None and why there is none."""
        from stm_experiments.core.files import read_json
        from stm_experiments.core.results.names import current_name, with_current_names

        config = self.loader.load_sweep_config(self.config, list(overrides))
        with open_dict(config):
            config.hydra.job.num = config.hydra.job.id = number
        folder = Path(config.hydra.sweep.dir, config.hydra.sweep.subdir)
        try:
            metrics = read_json(folder / "metrics.json")
        except (OSError, ValueError):
            try:
                return None, str(read_json(folder / "run.json").get("status"))
            except (OSError, ValueError):
                return None, f"it left nothing in {folder}"
        name = current_name(config.optimized_metric)
        return with_current_names(metrics).get(name), f"it has no metric {name}"


def distribution(override: Override) -> "BaseDistribution":
    """Return the values between which Optuna chooses for a key.

    Raises:
        ValueError: If they cannot be told.
    """
    from optuna.distributions import (
        CategoricalDistribution,
        FloatDistribution,
        IntDistribution,
    )

    value = override.value()
    if isinstance(value, ChoiceSweep):
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    if isinstance(value, RangeSweep) and value.start is not None and value.stop is not None:
        low, high, step = value.start, value.stop, value.step or 1
        if all(float(number).is_integer() for number in (low, high, step)):
            return IntDistribution(int(low), int(high) - 1, step=int(step))
        return FloatDistribution(low, high, step=step)
    if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
        is_log = "log" in value.tags
        if isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log=is_log)
        return FloatDistribution(value.start, value.end, log=is_log)
    raise ValueError(
        f"{override.input_line}: Optuna chooses from a list (a,b), range(1,5) or interval(0.1,1)"
    )


def unfinished(study: "Study") -> list[tuple[int, list[str]]]:
    """Return number and keys of the trials that were under way when the sweep ended."""
    from optuna.trial import TrialState

    running = [trial for trial in study.trials if trial.state is TrialState.RUNNING]
    for trial in running:
        if "overrides" not in trial.user_attrs:  # it had not begun
            study.tell(trial.number, state=TrialState.FAIL)
    return [(t.number, t.user_attrs["overrides"]) for t in running if "overrides" in t.user_attrs]


def report(study: "Study", folder: Path) -> None:
    """Write the trials as a table, and print the best.

    Raises:
        RuntimeError: If no trial has succeeded.
    """
    from optuna.trial import TrialState

    study.trials_dataframe().to_csv(folder / "trials.csv", index=False)
    if not any(trial.state is TrialState.COMPLETE for trial in study.trials):
        raise RuntimeError(f"none of the {len(study.trials)} trials has succeeded")
    keys = " ".join(f"{key}={value}" for key, value in study.best_params.items())
    best = f"trial {study.best_trial.number}, {study.best_value:g}"
    log.info(f"best of {len(study.trials)}: {best}: {keys}")
