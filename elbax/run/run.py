"""A training run on disk: the one place that knows its options, numbers, model and data."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from elbax.run import folder
from elbax.util import environment, files
from elbax.util.words import plus_minus

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from matplotlib.figure import Figure

    from elbax.data import Dataset
    from elbax.model.latent_variable_model import LatentVariableModel
    from elbax.recipes.choice import Choice
    from elbax.recipes.options import Options
    from elbax.report.diagnosis import Diagnosis

LAST_GOOD = "last good"
"""What the file of a model says of the state that a diverged training left."""
NOT_THE_RATE = (
    "other data or weights of the loss: no step was taken, so `elbax inspect` may show values far "
    "from the others"
)
"""What to train again with where the first step diverged."""

Binarize = Literal["none", "static", "dynamic"]


class Run:
    """A training run on disk: its options, its numbers, its model and its pictures.

    `elbax.open_run` gives one. Nothing is read before it is asked for.

    Args:
        path: The run's folder.
        data: The data, where they were an array in memory.
        **known: Attributes that need not be read from the folder: `config`, `results`, `history`,
            `model`, `dataset`, `binarize` or `seed`.

    Attributes:
        path: The run's folder.
    """

    def __init__(self, path: str | Path, data: Any = None, **known: Any) -> None:
        self.path = Path(path)
        self._data = data
        self._known = known
        self.__dict__.update(known)

    @property
    def source(self) -> Any:
        """The data, where they were an array in memory; None elsewhere."""
        return self._data

    def replace(self, **known: Any) -> Run:
        """The same run with some attributes other than its folder's, such as `model` or `seed`."""
        return Run(self.path, self._data, **{**self._known, **known})

    def __truediv__(self, name: str) -> Path:
        """The path of a file in the run's folder."""
        return self.path / name

    @property
    def name(self) -> str:
        """What tables and pictures call it: the last name of its path."""
        return self.path.name

    @functools.cached_property
    def config(self) -> dict[str, Any]:
        """``config.json``: every option, the seed, versions, the data's fingerprint.

        Raises:
            RunFolderError: (a ValueError) there is no run.
        """
        return folder.read_config(self.path)

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes ``config.json``: from here on the folder is a run, and can be resumed."""
        files.write_sealed(self / folder.CONFIG, config)
        for name in ("config", "options"):
            self.__dict__.pop(name, None)

    @functools.cached_property
    def options(self) -> Options:
        """Every option that the run was trained with.

        Raises:
            ValueError: ``config.json`` is damaged.
        """
        from elbax.run import settle

        return settle.options_of(self.config, self / folder.CONFIG)

    @property
    def likelihood(self) -> Choice:
        """The family of p(x|z), with what the data settled of its options."""
        from elbax.run import settle

        return settle.likelihood_of(self.config)

    @functools.cached_property
    def seed(self) -> int:
        """The run's seed: what a figure or an evaluation draws follows from it alone."""
        return self.config["run"]["seed"]

    @functools.cached_property
    def binarize(self) -> Binarize:
        """How the data are binarised: "none", "static" (in the data), "dynamic" (by the model)."""
        return self.options.data.binarize

    @property
    def results(self) -> dict[str, Any] | None:
        """The content of ``results.json``, or None while the run isn't done, or it is damaged.

        ``results["test"]["elbo"]`` is the bound in nats per datum, beside its parts and their
        standard errors.
        """
        if "results" in self._known:
            return self._known["results"]
        try:
            found = files.read_sealed(self / folder.RESULTS)
        except (OSError, ValueError):
            return None
        whole = isinstance(found, dict) and {"iterations", "outcome"} <= found.keys()
        return found if whole else None

    @property
    def history(self) -> Mapping[str, Any]:
        """The log as arrays of equal length: `step`, `loss`, `elbo`, `reconstruction`, `kl` (nats).

        ``history["validation"]`` is a dictionary of the same, one entry a validation.

        Raises:
            ValueError: The log has changed since the run was measured.
        """
        from elbax.run import metrics

        if "history" in self._known:
            return self._known["history"]
        path, known = self / folder.METRICS, (self.results or {}).get("log")
        if known is not None and metrics.sealed(path, known["bytes"]) != known:
            raise ValueError(
                f"{path} has changed since the run was measured (another SHA-256): bring the old "
                "one back; models and results do not need it"
            )
        return metrics.history(path)

    @functools.cached_property
    def model(self) -> LatentVariableModel:
        """The trained model, from ``model.safetensors``.

        Raises:
            ValueError: The training hasn't got that far, it diverged, or the file is damaged.
        """
        from elbax.model.serialise import load_model, read_metadata

        if not (self / folder.MODEL).exists():
            raise ValueError(
                f"{self.path} has no {folder.MODEL} yet: finish it with `{self.resume_command}`"
            )
        model, known = load_model(self / folder.MODEL), read_metadata(self / folder.MODEL)
        if known.get("which") == LAST_GOOD:
            program, path = environment.program(), shlex.quote(str(self.path))
            step = int(known["step"])
            mend = (
                f"see `{program} plot {path} train_process`, and train again with a lower "
                "--learning-rate or --gradient-clip 10"
                if step
                else f"train again with {NOT_THE_RATE}"
            )
            raise ValueError(
                f"{self.path} diverged after step {step:,}, so that it has no trained model: {mend}"
            )
        return model

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The data that the run was trained on.

        Raises:
            DataChanged: They have changed since.
        """
        from elbax.run import settle

        return settle.load_again(self.config, self.options, self._data)

    @property
    def resume_command(self) -> str:
        """The exact command that resumes the run."""
        return f"{environment.program()} resume {shlex.quote(str(self.path))}"

    def finished(self, iterations: int | None = None) -> bool:
        """Whether nothing is left to train.

        Args:
            iterations: Steps in all that are asked for; None asks for those of ``config.json``.
        """
        from elbax.train.loop import Outcome

        results = self.results
        if results is None or not (self / folder.MODEL).exists():
            return False
        if iterations is None and results["outcome"] == Outcome.STOPPED_EARLY.value:
            # One that is being made longer since has its old results still.
            return results.get("asked", self.config["iterations"]) >= self.config["iterations"]
        return results["iterations"] >= (iterations or self.config["iterations"])

    def rows(self, split: str) -> tuple[np.ndarray, np.ndarray | None]:
        """The rows of a split as stored, and their labels; ``all`` comes in an own file's order.

        Raises:
            ValueError: There are none.
        """
        import numpy as np

        part = self.dataset.split(split)
        if len(part) == 0:
            raise ValueError(
                f"the {split} split of {self.dataset.name} is empty: choose another with --split"
            )
        if split != "all" or part.index is None:
            return part.x, part.label
        order = np.argsort(part.index)
        return part.x[order], None if part.label is None else part.label[order]

    def figure(self, name: str) -> Figure:
        """One of the run's figures, drawn anew.

        Args:
            name: "reconstruct", "generated", "train_process", …

        Raises:
            ValueError: There is no such figure (with the nearest name), or this run can't have it.
        """
        # The room above this one, for the user's convenience: nothing here depends on it.
        from elbax import figures

        figures.find(name)
        return figures.draw(name, self)

    def diagnose(self) -> Diagnosis:
        """What ails the run: collapse, a prior that does not match, over-fitting and the like.

        Raises:
            ValueError: The run has no trained model, or its data have changed.
        """
        # A room above this one, as for figures.
        from elbax.report import diagnosis

        return diagnosis.diagnose(self)

    def explore(self, height: int = 720) -> Any:
        """The page of ``elbax explore`` in a notebook.

        With anywidget (``pip install 'elbax[notebook]'``) it is a widget, whose ``state`` holds
        what stands in the page now: the latents ``z`` of a model of images, or a table's ``cells``
        with ``filled`` and ``logP`` in nats. Else it is a frame that shows the same.

        Args:
            height: In pixels.

        Raises:
            ValueError: The model has what no page can run, in one line.
        """
        # A room above this one, as for figures.
        from elbax.explore import notebook

        return notebook.explore(self, height)

    def encode(
        self,
        data: Any = None,
        *,
        split: str = "all",
        unseen: Literal["refuse", "missing"] = "refuse",
    ) -> dict[str, np.ndarray]:
        """The posterior q(z|x) of each datum, as ``elbax encode`` writes it.

        Args:
            data: Other data of the same shape or columns: a name, a path, an array, a table or an
                AnnData. None: those of the run.
            split: Which rows: "train", "validation", "test", or "all" in your own data's order.
            unseen: Whether categories that training did not see are refused or taken as missing.

        Returns:
            `mean` (n, latent_dim), `scale` likewise where q has one, and `label` (n,) where known.

        Raises:
            ValueError: Data that the model does not take; in one line.
        """
        from elbax.run.use import encodings

        return encodings.of(self, data, split, unseen)

    def annotate(self, adata: Any, *, key: str = "X_elbax") -> None:
        """Writes the mean of q(z|x) of each cell of an AnnData into its `obsm`.

        Genes are found by their names. What scanpy takes it as:
        ``scanpy.pp.neighbors(adata, use_rep="X_elbax")``.

        Args:
            adata: The AnnData; its `obsm[key]` becomes (cells, latent_dim) float32.
            key: What `obsm` calls it.

        Raises:
            ValueError: It is no AnnData, or lacks genes that the model knows; in one line.
        """
        from elbax.run.use import encodings

        encodings.annotate(self, adata, key)

    def to_arviz(
        self, *, split: str = "test", draws: int = 200, limit: int | None = 1000, seed: int = 0
    ) -> Any:
        """Draws of q(z|x) as ArviZ takes them (``pip install 'elbax[arviz]'``).

        Its groups: `posterior`, z (chain, draw, row, latent), one chain of draws from q(z|x);
        `log_likelihood`, log p(x_j|z) of each cell in nats; `sample_stats`, `log_weight` =
        log p(x, z) − log q(z|x) of each draw, which makes draws of q ones of p(z|x), and whose
        mean exponential is p(x); `observed_data`, the rows.

        Args:
            split: Which rows: "train", "validation", "test" or "all".
            draws: How many z a row.
            limit: The first so many rows; None takes all.
            seed: Of the draws.

        Returns:
            An `xarray.DataTree`.

        Raises:
            ValueError: ArviZ is not installed, the encoder gives points, or it would be too much.
        """
        from elbax.run.use.inference_data import inference_data

        return inference_data(self, split, draws, limit, seed)

    def __repr__(self) -> str:
        config, results = self.config, self.results
        latents, data = config["model"]["latent_dim"], config["data"]["name"]
        words = [f"{config['recipe']} with {latents} latents on {data}"]
        words += [f"{results['iterations']:,} steps" if results else "not finished"]
        words += [f"{name} {value} nats per datum" for name, value in self._bounds()]
        return f"<Run {self.path}: {', '.join(words)}>"

    def _repr_html_(self) -> str | None:
        # A room above this one, as for figures.
        from elbax.report import inline

        return inline.card(self)

    def _bounds(self) -> list[tuple[str, str]]:
        """The bound on the test rows (else the training rows), of a point posterior its parts."""
        results = self.results or {}
        which = "test" if results.get("test") else "train"
        bound = results.get(which)
        if not bound:
            return []
        name = "elbo" if "elbo" in bound else "reconstruction"
        shown = name.replace("elbo", "ELBO")
        return [(f"{which} {shown}", plus_minus(bound[name], bound["standard_error"][name]))]
