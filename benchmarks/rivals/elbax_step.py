"""elbax itself: `elbax.train.fit` as it really runs, and the floor in the same process."""

import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks import protocol, workload
from benchmarks.rivals.floor import Floor, Products

_FOREVER = 2**30


def trainable(**parts: str) -> tuple[Any, Any, Any, Any]:
    """Model, objective, optimiser and first state of the recipe `vae` on 28 × 28 grey bytes.

    With other parts, where they are named: `network="conv"`.
    """
    import dataclasses

    import jax

    from elbax.model.preprocessing import Preprocessing
    from elbax.recipes.choice import Choice
    from elbax.recipes.compose import compose, objective, optimizer
    from elbax.recipes.papers.basic.vae import RECIPE
    from elbax.train import init_state

    seed, likelihood = workload.SEED, parts.pop("likelihood", "bernoulli")
    chosen: dict[str, Any] = {kind: Choice(name) for kind, name in parts.items()}
    model = compose(
        dataclasses.replace(RECIPE.model, **chosen),
        shape=(28, 28, 1),
        likelihood=likelihood,
        preprocessing=Preprocessing(scale=1 / 255),
        key=jax.random.key(seed),
    )
    goal, mover = objective(RECIPE.training), optimizer(RECIPE.training, _FOREVER)
    state = init_state(model, goal, mover, jax.random.key(seed + 1))
    return model, goal, mover, state


class Training:
    """One endless run, advanced by whole chunks."""

    def __init__(self, pixels: np.ndarray, chunk_seconds: float, **parts: str) -> None:
        import jax.numpy as jnp

        from elbax.model.interfaces import Batch
        from elbax.train import fit

        self.model, goal, mover, state = trainable(**parts)
        rows = jnp.asarray(pixels.reshape(-1, 28, 28, 1))
        self._reports: Iterator[Any] = fit(
            self.model,
            goal,
            Batch(rows, data_size=len(rows)),
            optimizer=mover,
            batch_size=workload.BATCH,
            steps=_FOREVER,
            state=state,
            transform=self.model.preprocessing,
            chunk_seconds=chunk_seconds,
        )

    def run(self, steps: int) -> dict[str, Any]:
        """Takes chunks until there are at least so many steps; the time includes what lies between
        the chunks: the order of the rows, the metrics' way to the host.
        """
        taken, loss = 0, float("nan")
        started = time.perf_counter()
        while taken < steps:
            report = next(self._reports)  # its metrics are on the host: the chunk is done
            taken += report.step - report.first_step
            loss = float(report.metrics["loss"][-1])
        return {"seconds": time.perf_counter() - started, "steps": taken, "loss": loss}


class Throughput:
    """Encoding and sampling as the command line does it."""

    def __init__(self, model: Any, pixels: np.ndarray) -> None:
        self._model = model
        self._rows = pixels.reshape(-1, 28, 28, 1)

    def encode(self, count: int) -> dict[str, Any]:
        """Posterior means and scales of so many images, bytes in, numpy arrays out."""
        from elbax.evaluate import posterior_moments

        started = time.perf_counter()
        posterior_moments(self._model, self._rows[:count])
        return {"seconds": time.perf_counter() - started, "images": count}

    def sample(self, count: int) -> dict[str, Any]:
        """Mean images of so many latents drawn from the prior, as a numpy array."""
        import jax

        from elbax.evaluate.tiles import map_rows

        started = time.perf_counter()
        map_rows(_generate, self._model, np.zeros(count, np.uint8), jax.random.key(workload.SEED))
        return {"seconds": time.perf_counter() - started, "images": count}


class Likelihood:
    """The estimate of log p(x) as the command line makes it."""

    def __init__(self, model: Any, pixels: np.ndarray) -> None:
        self._model = model
        self._rows = pixels.reshape(-1, 28, 28, 1)

    def importance(self, digits: int, samples: int) -> dict[str, Any]:
        """Everything that an estimate holds, its diagnostics too; and the process's peak in MB."""
        import jax

        from elbax.evaluate.likelihoods import importance

        started = time.perf_counter()
        importance(
            self._model, self._rows[:digits], key=jax.random.key(workload.SEED), samples=samples
        )
        seconds = time.perf_counter() - started
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
        return {"seconds": seconds, "peak": peak}


def _generate(model: Any, _: Any, key: Any) -> Any:
    return model.decode(model.prior_distribution().sample(key)).mean


def prepare(options: dict[str, Any]) -> tuple[dict[str, protocol.Action], dict[str, Any]]:
    """Compiles, and lets the loop find its chunk length."""
    import jax

    pixels, _ = workload.images()
    training = Training(pixels, options.get("chunk_seconds", 1.0))
    training.run(options["steps"])
    training.run(options["steps"])
    through = Throughput(training.model, pixels)
    actions = {
        "run": training.run,
        "floor": Floor().measure,
        "products": Products(pixels).measure,
        "encode": through.encode,
        "sample": through.sample,
        "importance": Likelihood(training.model, pixels).importance,
    }
    return actions, {"device": jax.devices()[0].device_kind, "platform": jax.default_backend()}


if __name__ == "__main__":
    protocol.serve(prepare)
