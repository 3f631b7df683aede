"""``explorer.html``: a model's latents to be moved by hand, and what it makes of them."""

from __future__ import annotations

import html
import json
import pkgutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from elbax.evaluate.generate import likelihood_location, posterior_moments
from elbax.evaluate.latents.units import kl_by_latent
from elbax.explore.pack import pack
from elbax.model.compatibility import latent_kind
from elbax.model.distributions.basic import location
from elbax.model.distributions.divergences import kl_per_dimension
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.program.tracing import trace
from elbax.run.run import Run
from elbax.util.files import write_bytes

_ROWS = 500  # of the test rows are shown as points


def explorer(run: Run, path: Path) -> None:
    """Writes the page: one file, nothing is loaded from elsewhere.

    Args:
        run: A run on images.
        path: The file to write.

    Raises:
        ValueError: The model is of no images, has other latents than real vectors, is conditioned,
            or has a step that a page cannot run; one line with the mend.
    """
    write_bytes(path, page(run).encode())


def page(run: Run) -> str:
    """The page; see `explorer`."""
    model, data = run.model, run.dataset
    shape = data.shape
    if len(shape) != 3 or data.columns:
        raise ValueError(
            f"{run.path} is of a {data.kind.removesuffix('s')}, and the explorer shows images: see "
            "`elbax encode` and `elbax decode`"
        )
    if latent_kind(model) != "real" or model.condition_dim:
        what = "is conditioned on labels" if model.condition_dim else "has other latents"
        raise ValueError(
            f"the explorer moves a vector of real latents, and the model of {run.path} {what}: see "
            "`elbax plot RUN generated`"
        )
    programs = {
        "decode": trace(lambda z: likelihood_location(model.decode(z)), z=(model.latent_dim,)),
        "encode": trace(lambda x: _posterior(model, x), x=shape),
    }
    rows = data.test.x[:_ROWS]
    moments = posterior_moments(model, rows)
    held, unit = _held(model, rows, moments["mean"])
    arrays: dict[str, np.ndarray] = {"means": moments["mean"], "rows": rows}
    for name, program in programs.items():
        arrays |= {f"{name}.{number}": array for number, array in program.constants.items()}
    labels = data.test.label
    facts = {
        "name": run.path.name,
        "shape": list(shape),
        "latents": model.latent_dim,
        "order": np.argsort(-held, kind="stable").tolist(),
        "unit": unit,
        "held": np.round(held.astype(float), 4).tolist(),
        "range": _range(run),
        "top": data.levels,
        "stored": "bytes" if rows.dtype == np.uint8 else "numbers",
        "labels": None if labels is None else labels[:_ROWS].tolist(),
        "label_names": list(data.label_names),
        "programs": {name: program.plain() for name, program in programs.items()},
        **pack(arrays),
    }
    return _filled(facts)


def _posterior(model: LatentVariableModel, x: Any) -> tuple[Any, ...]:
    """Mean and, where it has one, standard deviation of q(z|x)."""
    q = model.encode(model.preprocessing(x))
    mean = q.mean if hasattr(q, "mean") else location(q)
    return (mean, jnp.sqrt(q.variance)) if hasattr(q, "variance") else (mean,)


def _held(
    model: LatentVariableModel, rows: np.ndarray, means: np.ndarray
) -> tuple[np.ndarray, str]:
    """What each latent holds: its KL in nats, or where none is defined its mean's variance."""
    q, p = model.encode(model.preprocessing(jnp.asarray(rows[0]))), model.prior_distribution()
    if kl_per_dimension(q, p) is None:
        return means.var(axis=0), "(variance)"
    kl = kl_by_latent(model, rows, key=jax.random.key(0))
    return np.array([one.mean for one in kl]), "nats"


def _range(run: Run) -> list[float]:
    """What of the decoder's numbers is black, and what white."""
    x = np.asarray(run.dataset.train.x[:2000], np.float64)
    own = run.model.preprocessing
    low, high = np.nanmin(x), np.nanmax(x)
    return [(float(end) - own.shift) * own.scale for end in (low, high)]


def _filled(facts: dict[str, Any]) -> str:
    """The page's parts and the facts in one file."""
    parts = {
        name: (pkgutil.get_data("elbax.explore", file) or b"").decode()
        for name, file in (
            ("STYLE", "page.css"), ("PROGRAM", "program.js"), ("SCRIPT", "page.js"),
        )
    }  # fmt: skip
    text = (pkgutil.get_data("elbax.explore", "page.html") or b"").decode()
    text = text.replace("{{NAME}}", html.escape(facts["name"]))
    # A page ends a script at </, wherever that stands.
    parts["FACTS"] = json.dumps(facts, allow_nan=False).replace("</", "<\\/")
    for name, part in parts.items():
        text = text.replace(f"{{{{{name}}}}}", part)
    return text
