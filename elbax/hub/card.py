"""The card of a run: what stands on its page on the hub, made from its numbers and pictures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from elbax.figures import FIGURES
from elbax.hub.hub import SCHEME, Place, package
from elbax.report import page
from elbax.report.verdict import verdict
from elbax.run.folder import FIGURES as PICTURES
from elbax.run.run import Run
from elbax.util import words

_TASK = {"images": "unconditional-image-generation"}  # by kind of data; the hub's own names
_SAMPLES = {"images": "samples.png", "table": "samples.csv"}
_OWN = ("fingerprint", "split")  # of the rows of data, of no use to a reader


def card(run: Run, place: Place, names: Iterable[str], licence: str | None) -> str:
    """A card in Markdown, with what the hub reads of it at its head.

    Args:
        run: A finished run.
        place: Where it goes.
        names: The files that go there.
        licence: The hub's name of a licence, such as ``apache-2.0``; None says none.
    """
    config, results = run.config, run.results or {}
    numbers = page.number_rows(run, results)
    parts = [
        f"---\n{_head(run, licence)}\n---",
        f"# {_plain(place.name)}",
        _what(config),
        _plain(verdict(run)),
        "## Use",
        _use(place, config["data"]["kind"]),
        "## Numbers",
        _table(("", "test", "training", "what it is"), numbers),
        page.PLUS_MINUS,
        page.GREY if page.is_grey(config) else "",
        *_pictures(set(names)),
        "## Data",
        _table(("", ""), _words(page.data_rows(config["data"]), leave=_OWN)),
        "## Model",
        _table(("", ""), _words(page.model_rows(run))),
        "## Training",
        _table(("", ""), _words({**page.training_rows(config["training"]), "seed": run.seed})),
        "Made with " + ", ".join(f"{n} {_plain(v)}" for n, v in config["versions"].items()) + ".",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(run: Run, licence: str | None) -> str:
    kind = run.config["data"]["kind"]
    known = {"license": licence} if licence else {}
    data = package().ModelCardData(
        library_name="elbax",
        pipeline_tag=_TASK.get(kind),
        tags=["elbax", "jax", "variational-autoencoder", kind],
        **known,
    )
    return data.to_yaml()


def _what(config: Mapping[str, Any]) -> str:
    return (
        "A variational autoencoder trained with [elbax](https://pypi.org/project/elbax/): "
        f"{_plain(config['recipe'])} with {config['model']['latent_dim']} latents on "
        f"{_plain(config['data']['name'])}."
    )


def _use(place: Place, kind: str) -> str:
    samples = _SAMPLES.get(kind, "samples.npz")
    return (
        "```python\n"
        "import elbax\n\n"
        f'model = elbax.load("{SCHEME}{place}")\n'
        "```\n\n"
        "The run as a folder, for every command:\n\n"
        "```sh\n"
        "pip install 'elbax[hub]'\n"
        f"elbax pull {place} --out {place.name}\n"
        f"elbax sample {place.name} --out {samples}\n"
        "```"
    )


def _pictures(names: set[str]) -> Iterator[str]:
    found = {name: f"{PICTURES}/{name}.png" for name in FIGURES}
    found = {name: path for name, path in found.items() if path in names}
    if found:
        yield "## Pictures"
    for name, path in found.items():
        spec = FIGURES[name]
        yield f"### {spec.title}\n\n![{spec.title}]({path})\n\n{_plain(spec.caption)}"


def _words(rows: Mapping[str, object], leave: Sequence[str] = ()) -> list[tuple[str, str]]:
    return [
        (name, words.NOTHING if value is None else str(value))
        for name, value in rows.items()
        if name not in leave
    ]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([_plain(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(said: object) -> str:
    """Words that Markdown takes as they are, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~&$])", r"\\\1", words.shown(str(said)))
