"""The page of images: a model's latents to be moved by hand, and what it makes of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elbax.evaluate.generate import likelihood_location, posterior_moments
from elbax.evaluate.latents.units import kl_by_latent
from elbax.evaluate.tiles import Conditioned, Rows, stored
from elbax.explore.filled import constants, filled, plain
from elbax.explore.pack import pack
from elbax.model.conditioning import at_condition
from elbax.model.distributions.basic import location
from elbax.model.distributions.divergences import kl_per_dimension
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.program.tracing import trace
from elbax.run import labels
from elbax.run.run import Run

_ROWS, _PIXELS = 400, 600_000  # of the test rows are shown as points, at most


def page(run: Run) -> str:
    """The page of a run on images; see `elbax.explore.explorer`.

    Of a conditioned model it has a choice of the condition.
    """
    model, data = run.model, run.dataset
    shape = data.shape
    functions = {
        "decode": lambda z, *c: likelihood_location(model.decode(z, *c)),
        "encode": lambda x, *c: _posterior(model, x, *c),
    }
    given = {"condition": (model.condition_dim,)} if model.condition_dim else {}
    programs = {
        "decode": trace(functions["decode"], z=(model.latent_dim,), **given),
        "encode": trace(functions["encode"], x=shape, **given),
    }
    most = max(1, min(_ROWS, _PIXELS // int(np.prod(shape))))
    rows = data.test.x[:most]
    known = labels.conditioned(model, data.test)[:most]
    moments = posterior_moments(model, known)
    held, unit = _held(model, known, moments["mean"])
    arrays: dict[str, np.ndarray] = {"means": moments["mean"], "rows": rows, **constants(programs)}
    label = data.test.label
    facts = {
        "name": run.path.name,
        "shape": list(shape),
        "latents": model.latent_dim,
        "classes": model.condition_dim,
        "order": np.argsort(-held, kind="stable").tolist(),
        "unit": unit,
        "held": np.round(held.astype(float), 4).tolist(),
        "range": _range(run),
        "top": data.levels,
        "stored": "bytes" if rows.dtype == np.uint8 else "numbers",
        "labels": None if label is None else label[:most].tolist(),
        "label_names": list(data.label_names),
        "programs": {name: plain(program) for name, program in programs.items()},
        **pack(arrays),
    }
    return filled("images", facts, ["images.js"])


def _posterior(model: LatentVariableModel, x: Any, condition: Any = None) -> tuple[Any, ...]:
    """Mean and, where it has one, standard deviation of q(z|x)."""
    q = model.encode(model.preprocessing(x), condition)
    mean = q.mean if hasattr(q, "mean") else location(q)
    return (mean, jnp.sqrt(q.variance)) if hasattr(q, "variance") else (mean,)


def _held(model: LatentVariableModel, rows: Rows, means: np.ndarray) -> tuple[np.ndarray, str]:
    """What each latent holds: its KL in nats, or where none is defined its mean's variance."""
    one = model
    if isinstance(rows, Conditioned):
        one = at_condition(model, jnp.asarray(rows.condition[0]))
    defined: list[bool] = []

    def ask(x: Any) -> None:
        q = one.encode(one.preprocessing(x))
        defined.append(kl_per_dimension(q, one.prior_distribution()) is not None)

    jax.eval_shape(ask, stored(rows)[0])
    if not defined[0]:
        return means.var(axis=0), "(variance)"
    kl = kl_by_latent(model, rows, key=jax.random.key(0))
    return np.array([each.mean for each in kl]), "nats"


def _range(run: Run) -> list[float]:
    """What of the decoder's numbers is black, and what white."""
    x = np.asarray(run.dataset.train.x[:2000], np.float64)
    own = run.model.preprocessing
    low, high = np.nanmin(x), np.nanmax(x)
    return [(float(end) - own.shift) * own.scale for end in (low, high)]
