"""Pictures of a fitted estimator, in the way of scikit-learn's displays."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from elbax.estimators.base import BaseVAE


class TrainingDisplay:
    """The bound and its parts over the epochs of training.

    Make it by `from_estimator`.

    Attributes:
        history: The estimator's `history_`.
        estimator_name: What it is called in the picture.
        ax_: The axes, after `plot`.
        figure_: Their figure.
        lines_: The curves.
    """

    def __init__(self, *, history: dict[str, np.ndarray], estimator_name: str = "VAE") -> None:
        self.history = history
        self.estimator_name = estimator_name

    @classmethod
    def from_estimator(cls, estimator: BaseVAE, *, ax: Any = None, **kwargs: Any) -> Any:
        """Draws the training of a fitted estimator.

        Args:
            estimator: A fitted `VAE`, `VAEOutlierDetector` or `VAEImputer`.
            ax: Axes of Matplotlib to draw on; None makes a figure.
            kwargs: Handed to Matplotlib's `plot`.
        """
        check_is_fitted(estimator, "model_")
        display = cls(history=estimator.history_, estimator_name=type(estimator).__name__)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> TrainingDisplay:
        """Draws the curves.

        Args:
            ax: Axes to draw on; None makes a figure.
            kwargs: Handed to Matplotlib's `plot`.
        """
        from elbax.figures.drawing.style import BLUE, GREEN, INK, ORANGE

        ax = _axes(ax)
        epoch = self.history["epoch"]
        curves = [
            ("elbo", INK, "bound"),
            ("reconstruction", GREEN, "reconstruction"),
            ("kl", BLUE, "KL"),
        ]
        self.lines_ = [
            ax.plot(epoch, self.history[name], **{"color": colour, "label": label, **kwargs})[0]
            for name, colour, label in curves
            if name in self.history
        ]
        if "validation_elbo" in self.history:
            looks = self.history["validation_epoch"], self.history["validation_elbo"]
            style = {"color": ORANGE, "ls": "--", "label": "bound, validation", **kwargs}
            self.lines_ += ax.plot(*looks, **style)
        ax.set(xlabel="epoch", ylabel="nats per datum", title=f"Training of {self.estimator_name}")
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


class LatentMapDisplay:
    """Where the rows lie in two of the latent dimensions: the means of q(z|x).

    Make it by `from_estimator`.

    Attributes:
        latents: (rows, 2).
        target: A label or a number for each row, or None.
        components: Which two dimensions.
        ax_: The axes, after `plot`.
        figure_: Their figure.
        scatter_: The points; one collection for each label.
    """

    def __init__(
        self,
        *,
        latents: np.ndarray,
        target: np.ndarray | None = None,
        components: tuple[int, int] = (0, 1),
    ) -> None:
        self.latents = latents
        self.target = target
        self.components = components

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        components: tuple[int, int] = (0, 1),
        ax: Any = None,
        **kwargs: Any,
    ) -> LatentMapDisplay:
        """Draws the latents of some rows.

        Args:
            estimator: A fitted `VAE` of two components or more, or a pipeline that ends in one.
            X: The rows.
            y: A label for each (a colour each), or a number (a colour bar).
            components: Which two dimensions.
            ax: Axes of Matplotlib to draw on; None makes a figure.
            kwargs: Handed to Matplotlib's `scatter`.

        Raises:
            ValueError: The model has fewer dimensions.
        """
        latents = np.asarray(estimator.transform(X))
        if latents.shape[1] <= max(components):
            raise ValueError(
                f"components is {components}, and the model has {latents.shape[1]}: fit one with "
                "n_components=2 or more"
            )
        target = None if y is None else np.asarray(y)
        display = cls(latents=latents[:, list(components)], target=target, components=components)
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Any = None, **kwargs: Any) -> LatentMapDisplay:
        """Draws the points.

        Args:
            ax: Axes to draw on; None makes a figure.
            kwargs: Handed to Matplotlib's `scatter`.
        """
        from elbax.figures.drawing.style import BLUE, label_colours

        ax = _axes(ax)
        style = {"s": 12, "alpha": 0.8, "linewidths": 0, **kwargs}
        x, y = self.latents.T
        if self.target is None:
            self.scatter_ = [ax.scatter(x, y, **{"color": BLUE, **style})]
        elif self.target.dtype.kind == "f":
            self.scatter_ = [ax.scatter(x, y, c=self.target, **style)]
            ax.figure.colorbar(self.scatter_[0], ax=ax)
        else:
            labels = np.unique(self.target)
            self.scatter_ = [
                ax.scatter(
                    *self.latents[self.target == label].T,
                    **{"color": [colour], "label": str(label), **style},
                )
                for label, colour in zip(labels, label_colours(len(labels)), strict=True)
            ]
            ax.legend(markerscale=1.5)
        first, second = self.components
        ax.set(xlabel=f"component {first}", ylabel=f"component {second}", aspect="equal")
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(layout="constrained")[1]
