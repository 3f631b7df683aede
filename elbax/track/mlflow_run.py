"""``--track mlflow``: a run of MLflow, where MLFLOW_TRACKING_URI says, in the experiment "elbax".

The experiment is another where MLFLOW_EXPERIMENT_NAME says so.
"""

from __future__ import annotations

import io
import itertools
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from elbax.track import place
from elbax.track.tracker import Ending, Scalars, Tracker, library

_AT_ONCE = 500  # numbers in one request; MLflow takes 1,000, and 100 options
_LONGEST = 500  # characters of an option
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


def tracker(name: str, folder: Path) -> Tracker:
    """The run of MLflow for the run in a folder."""
    return _MlflowRun(library(name), folder)


class _MlflowRun:
    """Written by MLflow's client, which leaves the process's own active run alone."""

    def __init__(self, package: Any, folder: Path) -> None:
        self._package, self._folder = package, folder
        self._client: Any = None
        self._run = place.remembered(folder, "mlflow")
        self._sent = 0

    def begin(self, options: Mapping[str, Any], step: int) -> None:
        del step  # MLflow knows what it has
        self._client = self._package.MlflowClient()
        if self._run is None:
            self._run = self._create(options)
        else:
            self._client.update_run(self._run, status="RUNNING")
            sent = self._client.get_metric_history(self._run, "train/loss")
            # The same steps give the same numbers: those that were sent are not sent again.
            self._sent = max((metric.step for metric in sent), default=0)

    def _create(self, options: Mapping[str, Any]) -> str:
        client, name = self._client, os.environ.get("MLFLOW_EXPERIMENT_NAME", "elbax")
        experiment = client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else client.create_experiment(name)
        run = client.create_run(number, run_name=self._folder.name).info.run_id
        place.remember(self._folder, "mlflow", run)
        param = self._package.entities.Param
        params = [param(key, str(value)[:_LONGEST]) for key, value in options.items()]
        for some in _parts(params, 100):
            client.log_batch(run, params=some)
        return run

    def scalars(self, rows: Iterable[Scalars]) -> None:
        now = int(1e3 * time.time())
        metrics = [
            self._package.entities.Metric(name, value, now, step)
            for step, values in rows
            for name, value in values.items()
            if step > self._sent or not name.startswith(("train/", "validation/"))
        ]
        for some in _parts(metrics, _AT_ONCE):
            self._client.log_batch(self._run, metrics=some)

    def picture(self, name: str, step: int, png: bytes) -> None:
        if step >= self._sent:
            image = Image.open(io.BytesIO(png))
            self._client.log_image(self._run, image, key=name.replace("/", "-"), step=step)

    def file(self, path: Path) -> None:
        self._client.log_artifact(self._run, str(path))

    def end(self, ending: Ending) -> None:
        self._client.set_terminated(self._run, status=_STATUS[ending])


def _parts(items: list[Any], count: int) -> Iterable[list[Any]]:
    """The items, so many at a time."""
    source = iter(items)
    while some := list(itertools.islice(source, count)):
        yield some
