"""report.html: one self-contained page about a run; no script, nothing loaded.

Its one link leads to explorer.html beside it, where there is one.
"""

from __future__ import annotations

import base64
import html
import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from elbax.figures import FIGURES
from elbax.recipes.choice import Choice
from elbax.report.console import codes_in_words
from elbax.report.verdict import verdict
from elbax.run.folder import EXPLORER
from elbax.run.run import Run
from elbax.run.terms import readable
from elbax.util.files import write_bytes
from elbax.util.words import NOTHING, minus, number, plus_minus

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d8dee4; --back: #ffffff;
  --card: #f6f8fa; --accent: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa5b1; --line: #30363d;
  --back: #0d1117; --card: #161b22; --accent: #56b4e9; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 17px/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.1rem; font-weight: 600; color: var(--soft); margin: 0 0 .6rem;
  overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 3.2rem 0 .8rem; }
h3 { font-size: 1.08rem; margin: 0 0 .2rem; }
.verdict { font-size: clamp(1.25rem, 3.2vw, 1.65rem); line-height: 1.4; font-weight: 600; margin: 0;
  overflow-wrap: anywhere; }
.soft { color: var(--soft); }
a { color: var(--accent); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr)); gap: .75rem;
  margin: 1.8rem 0 0; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: .75rem .9rem; }
.tile b { display: block; font-size: 1.2rem; line-height: 1.35; font-variant-numeric: tabular-nums;
  white-space: nowrap; }
.tile span { color: var(--soft); font-size: .86rem; line-height: 1.35; display: block; }
figure { margin: 0 0 2.6rem; }
figure img { display: block; width: 100%; height: auto; background: #fff; margin: .6rem 0 .7rem;
  border: 1px solid var(--line); border-radius: .6rem; padding: .5rem; }
figcaption p { margin: 0; color: var(--soft); max-width: 46rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .94rem; }
th, td { text-align: left; vertical-align: top; padding: .5rem .9rem .5rem 0;
  border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
thead th { color: var(--soft); font-weight: 500; }
tbody th { font-weight: 600; white-space: nowrap; overflow-wrap: normal; }
td.n { white-space: nowrap; font-variant-numeric: tabular-nums; }
.numbers td:last-child { min-width: 17rem; color: var(--soft); }
.settings tbody th { width: 13rem; font-weight: 500; color: var(--soft); }
.bar { background: var(--accent); height: .8rem; border-radius: .2rem; min-width: 1px; }
.bars td:last-child { width: 75%; vertical-align: middle; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: .8rem
  1rem; white-space: pre-wrap; overflow-wrap: anywhere; margin: .5rem 0;
  font: .88rem/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
@media print { :root { color-scheme: light; --ink: #000; --soft: #444; --line: #bbb; --back: #fff;
  --card: #fff; --accent: #0072b2; } body { font-size: 11pt; } main { max-width: none; padding: 0; }
  figure, .tile, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  figure img { max-height: 20cm; width: auto; max-width: 100%; } }
@media (max-width: 34rem) { body { font-size: 16px; } main { padding-top: 1.5rem; }
  figure img { padding: .2rem; } .settings tbody th { width: 8rem; white-space: normal; }
  .numbers thead th:last-child { display: none; }
  .numbers tr { display: grid; grid-template-columns: 1fr 8rem 8rem; padding: .5rem 0;
    border-bottom: 1px solid var(--line); }
  .numbers th, .numbers td { border: 0; padding: 0 .3rem 0 0; }
  .numbers td:last-child { grid-column: 1 / -1; min-width: 0; } }
"""

SOON = "The pictures are being drawn: load this page again in some seconds."
"""What stands in their place until they are there."""

_EXPLORER = (
    f'<p><a href="{EXPLORER}">Move the model by hand</a>: {EXPLORER}, a page that runs it by '
    "itself.</p>"
)

_NAMES = {"elbo": "ELBO", "kl": "KL"}
_LABELS = (
    (
        "bound on log p(x, y)",
        "bound",
        (
            "The evidence lower bound of a row together with its label, in nats: where the label "
            "is known. It does not compare with the bound on log p(x) above."
        ),
    ),
    ("accuracy", "accuracy", "The share of rows that the classifier q(y|x) gets right."),
)
_TERM = (
    "A term of what training minimised, averaged over batches as large as those of training; it is "
    "no bound on log p(x)."
)

PLUS_MINUS = (
    "After ± stands one standard error over the rows: how far the average would move with another "
    "sample of the same size. It covers neither the randomness of training nor any bias."
)

DEFINITIONS = {
    "elbo": (
        "The evidence lower bound, reconstruction − KL, in nats per datum (1 nat = 1.44 bits): the "
        "log-probability of a datum is at least this. Larger is better."
    ),
    "reconstruction": (
        "E[log p(x|z)] over z ~ q(z|x), in nats per datum: how well the decoder predicts a datum "
        "from its own latents."
    ),
    "kl": (
        "KL(q(z|x) ‖ p(z)), in nats per datum: how far what the encoder says of a datum lies from "
        "the prior, that is, how much the latents hold."
    ),
    "active latents": (
        "Latents whose posterior mean varies over the data, with a variance above 0.01 (Burda, "
        "Grosse & Salakhutdinov 2015, §5.2). The others carry nothing."
    ),
    "codes": (
        "How many of the codes the measured rows use, and exp of the entropy of that use: as many "
        "codes as there would be if all were chosen alike. The others are dead."
    ),
    "steps": "Updates of the parameters, of those asked for.",
    "outcome": "How training ended.",
    "ms per step": (
        "Milliseconds: the median over chunks of steps, without compilation, validation and saving."
    ),
    "seconds": "Training in all: compilation, validation and saving included.",
    "compilation": "Seconds of those that went into compiling the training program.",
}

GREY = (
    "The pixels are grey, and a Bernoulli likelihood speaks of 0 and 1: each grey level was taken "
    "as the probability of a 1. The bound is then a lower bound on the expected log-probability "
    "of the binarised image. It is not a density of the grey image, and not comparable with "
    "bounds on data that were binarised before."
)


def write_report(
    path: Path,
    run: Run,
    figures: Mapping[str, bytes] | None,
    left_out: Mapping[str, str] | None = None,
    *,
    explorer: bool = False,
) -> None:
    """Write the report, whole or not at all.

    Args:
        path: where, usually RUN/report.html.
        run: what it is about.
        figures: PNGs by the names of `FIGURES`; None says that they are being drawn.
        left_out: figures that this run cannot have, each with the line that says why.
        explorer: whether explorer.html stands beside it.

    Raises:
        elbax.util.files.WriteError: the folder is missing or full.
    """
    write_bytes(path, page(run, figures, left_out, explorer=explorer).encode())


def page(
    run: Run,
    figures: Mapping[str, bytes] | None,
    left_out: Mapping[str, str] | None = None,
    *,
    explorer: bool = False,
) -> str:
    """The report as HTML. Every word that is not ours is escaped."""
    results = run.results or {}
    parts = [
        f"<h1>{escaped(run.name)}</h1>",
        f'<p class="verdict">{escaped(verdict(run))}</p>',
        _tiles(run, results),
        _EXPLORER if explorer else "",
        _pictures(figures, left_out or {}),
        _numbers(run, results),
        _bars(run.history),
        _settings("Data", data_rows(run.config["data"])),
        _settings("Model", model_rows(run)),
        _settings("Training", training_rows(run.config["training"])),
        _again(run, results),
    ]
    return document(run.name, parts)


def document(title: str, parts: Iterable[str], style: str = "") -> str:
    """A page that loads and runs nothing, from parts of HTML.

    Args:
        title: The window's title, in plain words.
        parts: What stands on the page, one below another; empty ones are left out.
        style: CSS added to the report's own.
    """
    # The policy forbids the browser to load or run anything, whatever a name in here contains.
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escaped(title)}</title>\n<style>{_STYLE}{style}</style>\n</head>\n<body>\n"
        "<main>\n" + "\n".join(part for part in parts if part) + "\n</main>\n</body>\n</html>\n"
    )


def escaped(words: Any) -> str:
    """Words as HTML."""
    return html.escape(str(words), quote=True)


def table(kind: str, rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """A table of HTML, each row with its name first.

    Args:
        kind: Its class.
        rows: The cells, as HTML.
        head: The names of the columns, in plain words.
    """
    names = "".join(f"<th>{escaped(name)}</th>" for name in head)
    body = "".join(f'<tr><th scope="row">{name}</th>{"".join(rest)}</tr>' for name, *rest in rows)
    top = f"<thead><tr>{names}</tr></thead>" if head else ""
    return f'<table class="{kind}">{top}<tbody>{body}</tbody></table>'


def cell(words: Any, kind: str = "") -> str:
    """A cell of a table, of plain words; "n" is the class of numbers."""
    return f'<td class="{kind}">{escaped(words)}</td>' if kind else f"<td>{escaped(words)}</td>"


def _tiles(run: Run, results: Mapping[str, Any]) -> str:
    tiles: list[tuple[str, str]] = []
    which = "test" if results.get("test") else "train"
    numbers, active = results.get(which), results.get("active_latents")
    if numbers:
        noun = which.replace("train", "training")
        for key, name in (("elbo", "ELBO"), ("reconstruction", "reconstruction"), ("kl", "KL")):
            if key in numbers:
                tiles.append((_value(numbers, key), f"{name}, {noun}, nats"))
    if active is not None:
        tiles.append((f"{active} of {run.config['model']['latent_dim']}", "latents active"))
    if results.get("ms_per_step") is not None:
        tiles.append(
            (f"{results['ms_per_step']:.3g} ms", f"a step, {results['iterations']:,} steps")
        )
    cells = "".join(
        f'<div class="tile"><b>{escaped(value)}</b><span>{escaped(name)}</span></div>'
        for value, name in tiles
    )
    return f'<div class="tiles">{cells}</div>' if tiles else ""


def _value(numbers: Mapping[str, Any] | None, key: str) -> str:
    value = None if numbers is None else numbers.get(key)
    if value is None:
        return NOTHING
    errors = (numbers or {}).get("standard_error") or {}
    return plus_minus(value, errors.get(key)) if math.isfinite(value) else str(value)


def _term(value: float | None) -> str:
    return NOTHING if value is None else minus(f"{value:.4g}")


def _pictures(figures: Mapping[str, bytes] | None, left_out: Mapping[str, str]) -> str:
    if figures is None:
        return f'<h2>Pictures</h2>\n<p class="soft">{SOON}</p>'
    shown = [picture(name, figures[name]) for name in FIGURES if name in figures]
    missing = "".join(
        f'<p class="soft">{escaped(FIGURES[name].title if name in FIGURES else name)}: left out. '
        f"{escaped(why[:1].upper() + why[1:])}.</p>"
        for name, why in left_out.items()
    )
    return "<h2>Pictures</h2>\n" + "\n".join(shown) + missing if shown or missing else ""


def picture(name: str, png: bytes, title: str | None = None, *, caption: bool = True) -> str:
    """A figure of HTML with the PNG inside it.

    Args:
        name: One of `FIGURES`.
        png: The picture.
        title: Its heading; by default the figure's own.
        caption: Whether the figure's words stand below it.
    """
    spec = FIGURES[name]
    heading = escaped(spec.title if title is None else title)
    width, height = struct.unpack(">II", png[16:24])  # the IHDR chunk always comes first
    source = base64.b64encode(png).decode()
    own = f' id="{escaped(name)}"' if title is None else ""
    words = f"<figcaption><p>{escaped(spec.caption)}</p></figcaption>" if caption else ""
    return (
        f"<figure{own}><h3>{heading}</h3>"
        f'<img alt="{heading}" width="{width}" height="{height}" '
        f'src="data:image/png;base64,{source}">{words}</figure>'
    )


def number_rows(run: Run, results: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """What was measured of a run: a name, the number of the test and of the training rows, words.

    Args:
        run: The run.
        results: Its results.
    """
    measured, of_train = results.get("test"), results.get("train")
    rows = [
        (name, _value(measured, name), _value(of_train, name), DEFINITIONS[name])
        for name in ("elbo", "reconstruction", "kl")
        if name in (measured or of_train or {})
    ]
    test, train = (readable((given or {}).get("terms", {})) for given in (measured, of_train))
    rows += [
        (name, _term(test.get(name)), _term(train.get(name)), _TERM)
        for name in test or train
        if name != "reconstruction"
    ]
    labels, train_labels = ((given or {}).get("labels") for given in (measured, of_train))
    rows += [
        (name, _value(labels, key), _value(train_labels, key), words)
        for name, key, words in _LABELS
        if labels or train_labels
    ]
    rows += [
        (name, value, "", DEFINITIONS[name]) for name, value in _more_numbers(run, results) if value
    ]
    return [(_NAMES.get(name, name), test, train, words) for name, test, train, words in rows]


def _numbers(run: Run, results: Mapping[str, Any]) -> str:
    cells = [
        (escaped(name), cell(test, "n"), cell(train, "n"), cell(words))
        for name, test, train, words in number_rows(run, results)
    ]
    best, kept = results.get("best") or {}, ""
    if results.get("model") == "best" and "step" in best:
        kept = f"They are those of the best parameters by validation, step {best['step']:,}. "
    grey = f"<p>{escaped(GREY)}</p>" if is_grey(run.config) else ""
    return (
        "<h2>Numbers</h2>"
        f'<p class="soft">{kept}{escaped(PLUS_MINUS)}</p>'
        f'<div class="scroll">{table("numbers", cells, ("", "test", "training", "what it is"))}'
        f"</div>{grey}"
    )


def _more_numbers(run: Run, results: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    active, latents = results.get("active_latents"), run.config["model"]["latent_dim"]
    yield "active latents", "" if active is None else f"{active} of {latents}"
    yield "codes", codes_in_words(results["codes"]) if results.get("codes") else ""
    yield "steps", f"{results['iterations']:,} of {run.config['iterations']:,}"
    yield "outcome", results["outcome"]
    for name, key, form in (
        ("ms per step", "ms_per_step", ".3g"),
        ("seconds", "seconds", ",.1f"),
        ("compilation", "compile_seconds", ".1f"),
    ):
        value = results.get(key)
        yield name, "" if value is None else f"{value:{form}}"


def is_grey(config: Mapping[str, Any]) -> bool:
    """Whether a Bernoulli likelihood was given values between 0 and 1."""
    data = config["data"]
    if config["likelihood"]["name"] != "bernoulli" or data.get("binarize", "none") != "none":
        return False
    return data["scale"] < 1 or "float" in data["dtype"]


def _bars(history: Mapping[str, Any]) -> str:
    logged = (history.get("kl_per_latent") or {}).get("value", ())
    values = [float(value) for value in logged[-1]] if len(logged) else []
    if not values or not all(math.isfinite(value) for value in values):
        return ""
    top = max(*values, 1e-12)
    bar = '<td><div class="bar" style="width:{:.1f}%"></div></td>'
    rows = [
        (f"z<sub>{i}</sub>", cell(number(value, 2), "n"), bar.format(100 * max(value, 0.0) / top))
        for i, value in sorted(enumerate(values), key=lambda item: -item[1])
    ]
    return (
        "<h2>KL by latent</h2>"
        '<p class="soft">Nats that each latent holds of a training datum, at the last logged step. '
        "A latent near 0 follows the prior and says nothing about x.</p>"
        f"{table('bars', rows)}"
    )


def _settings(title: str, rows: Mapping[str, Any]) -> str:
    if not rows:
        return ""
    cells = [(escaped(n), cell(NOTHING if v is None else v)) for n, v in rows.items()]
    return f"<h2>{escaped(title)}</h2>{table('settings', cells)}"


def data_rows(data: Mapping[str, Any]) -> dict[str, Any]:
    """What the data are: a run's `config["data"]` in words, by name."""
    rows = data["rows"]
    return {
        "name": data["name"],
        "source": data["source"],
        "kind": f"{data['kind']} of shape {' × '.join(map(str, data['shape']))}, {data['dtype']}",
        "rows": (
            f"{rows['train']:,} training, {rows['validation']:,} validation, {rows['test']:,} test"
        ),
        "split": data["splits"],
        "binarised": data.get("binarize", "none"),
        "fingerprint": data["fingerprint"],
    }


def model_rows(run: Run) -> dict[str, Any]:
    """What a run's model is made of, by name."""
    config = run.config
    rows = {"recipe": config["recipe"], "parameters": f"{config['parameters']:,}"}
    for name, value in config["model"].items():
        choice = Choice.of(value) if isinstance(value, dict) else value
        rows[_words(name)] = ", ".join(map(str, value)) if isinstance(value, list) else choice
    rows["likelihood"] = f"{run.likelihood}: {config['likelihood']['reason']}"
    return rows


def training_rows(training: Mapping[str, Any]) -> dict[str, Any]:
    """How a model was trained: a run's `config["training"]`, by name."""
    return {
        _words(name): Choice.of(value) if isinstance(value, dict) else value
        for name, value in training.items()
    }


def _words(name: str) -> str:
    return name.replace("_", " ")


def _again(run: Run, results: Mapping[str, Any]) -> str:
    config, parts = run.config, []
    if isinstance(config["command"], str) and config["command"]:
        parts.append(f"<h2>To repeat this run</h2><pre>{escaped(config['command'])}</pre>")
    if results["outcome"] != "finished" or results["iterations"] < config["iterations"]:
        parts.append(f"<h3>To resume it</h3><pre>{escaped(run.resume_command)}</pre>")
    made_with = {**config["versions"], "device": config["device"]}
    versions = ", ".join(f"{name} {version}" for name, version in made_with.items())
    tail = ". ".join(part for part in (config.get("created", ""), versions) if part)
    parts.append(f'<h2>Made with</h2><p class="soft">{escaped(tail)}</p>')
    return "".join(parts)
