"""One row: train at the published settings, evaluate with the paper's own estimator."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import elbax
from benchmarks.published.targets import Target
from elbax import evaluate
from elbax.model.interfaces import Batch
from elbax.model.latent_variable_model import Decoder, LatentVariableModel
from elbax.model.preprocessing import Preprocessing
from elbax.recipes.compose import compose, objective, optimizer
from elbax.recipes.options import Options
from elbax.train import Checkpoints, Outcome, State, fit, init_state, merge

SAVE_SECONDS = 60.0
ACTIVE_ROWS = 500  # the first training images: what the code of Burda et al. takes

Say = Callable[[str], None]


def run(
    target: Target, *, steps: int | None, seed: int, rows: int, folder: Path, say: Say
) -> dict[str, Any]:
    """Trains and evaluates one row; goes on where an interrupted run of the same length stopped.

    Args:
        target: The row.
        steps: How many steps to take; None takes the published number.
        seed: Of everything random.
        rows: How many of the test rows to evaluate, from the first.
        folder: Where checkpoints go.
        say: Takes a line about progress.
    """
    options = target.options(seed)
    data = elbax.load_data(
        "mnist", validation=options.data.validation, binarize=options.data.binarize
    )
    published = target.steps(len(data.train))
    steps = published if steps is None else min(steps, published)
    started = time.monotonic()
    model = _train(target, options, data, steps, folder / f"{target.name}-{steps}-{seed}", say)
    trained = time.monotonic()
    say(f"trained; evaluating {rows:,} rows")
    obtained = _evaluate(target, model, data.test.x[:rows], jax.random.key(seed + 1_000_000))
    means = evaluate.posterior_moments(model, data.train.x[:ACTIVE_ROWS])["mean"]
    return {
        "seed": seed,
        "steps": steps,
        "published_steps": published,
        "training_rows": len(data.train),
        "obtained": obtained,
        "active_units": int(evaluate.active(means).sum()),
        "latents": model.latent_dim,
        # Of this process: a run that was interrupted and gone on with trained for longer.
        "seconds": {
            "training": round(trained - started, 1),
            "evaluation": round(time.monotonic() - trained, 1),
        },
    }


def _train(
    target: Target, options: Options, data: elbax.Dataset, steps: int, folder: Path, say: Say
) -> LatentVariableModel:
    model_key, run_key = jax.random.split(jax.random.key(options.run.seed))
    model = eqx.filter_jit(compose)(
        options.model,
        shape=data.shape,
        likelihood="bernoulli",
        preprocessing=Preprocessing(
            scale=data.scale, binarize="dynamic" if options.data.binarize == "dynamic" else "none"
        ),
        key=model_key,
    )
    if target.output_bias:
        model = _start_at_mean(model, data)
    # The schedule is over the steps that are taken, so a shorter run anneals all the same.
    goal, mover = objective(options.training), optimizer(options.training, steps)
    state = init_state(model, goal, mover, run_key, keep_best=False)
    with Checkpoints(folder) as checkpoints:
        restored = checkpoints.restore(state)
        state = state if restored.state is None else restored.state
        saved = time.monotonic()
        for report in fit(
            model,
            goal,
            Batch(jnp.asarray(data.train.x), data_size=len(data.train)),
            optimizer=mover,
            batch_size=options.training.batch_size,
            steps=steps,
            state=state,
            transform=model.preprocessing,
        ):
            state = report.state
            if report.outcome is Outcome.DIVERGED:
                raise RuntimeError(f"{target.name}: {report.message}")
            if report.outcome is not None or time.monotonic() - saved > SAVE_SECONDS:
                checkpoints.save(state, {})
                saved = time.monotonic()
                say(_progress(state, report.metrics["loss"], steps))
    return merge(state.parameters, model, goal)[0]


def _progress(state: State, losses: np.ndarray, steps: int) -> str:
    return f"step {int(state.step):,} of {steps:,}, loss {losses.mean():.2f}"


def _start_at_mean(model: LatentVariableModel, data: elbax.Dataset) -> LatentVariableModel:
    """The same model, its decoder's last bias at the logit of the pixels' training means."""
    mean = np.mean(data.train.x, axis=0, dtype=np.float64).ravel() * data.scale
    clipped = np.clip(mean, 0.001, 0.999)  # pixels that are never on have no logit
    logit = jnp.asarray(np.log(clipped) - np.log1p(-clipped), jnp.float32)

    def bias(model: LatentVariableModel) -> Any:
        assert isinstance(model.decoder, Decoder)
        return model.decoder.network.layers[-1].bias

    return eqx.tree_at(bias, model, logit)


def _evaluate(
    target: Target, model: LatentVariableModel, rows: np.ndarray, key: jax.Array
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "estimator": target.estimator, "samples": target.samples, "rows": len(rows)
    }  # fmt: skip
    if target.estimator == "importance":
        from elbax.evaluate import likelihoods

        estimate = likelihoods.importance(model, rows, key=key, samples=target.samples)
        mean, error = estimate.mean(), estimate.mean_monte_carlo_error()
        trust, why = estimate.trust()
        found |= {"trust": trust, "trust_why": why}
    else:
        # By repeats of one draw each: their spread is the Monte Carlo error.
        draws = [
            evaluate.elbo(model, rows, key=jax.random.fold_in(key, i), samples=1).elbo
            for i in range(target.samples)
        ]
        mean = evaluate.mean(np.mean(draws, axis=0))
        error = float(np.std(np.mean(draws, axis=1), ddof=1) / math.sqrt(target.samples))
    return found | {
        "nats": -mean.mean,
        "standard_error": mean.standard_error,
        "monte_carlo_error": error,
    }
