"""The names of measured quantities in words: one table for pages, figures and the console."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class LogLikelihood:
    """What an estimate of log p(x) is called, by what it is of (`elbax.evaluate.quantity`).

    All are in nats per datum, and higher is better.

    Attributes:
        symbol: At the head of a table's column.
        short: In a sentence.
        words: With what it is.
        bound: What the evidence lower bound bounds.
        axis: In a figure, of one datum X.
    """

    symbol: str
    short: str
    words: str
    bound: str
    axis: str


_BINARISED = "lower bound on the expected log-likelihood of the binarised data"

LOG_LIKELIHOOD = {
    "log-mass": LogLikelihood(
        symbol="log P",
        short="log P(x)",
        words="log P(x), a probability mass",
        bound="a lower bound on log P(x)",
        axis="log P(X)",
    ),
    "log-density": LogLikelihood(
        symbol="log p",
        short="log p(x), a density",
        words="log p(x), a density",
        bound="a lower bound on log p(x), a density: it changes with the data's units",
        axis="log p(X)",
    ),
    "binarised-bound": LogLikelihood(
        symbol="IS bound",
        short=_BINARISED,
        words=f"{_BINARISED} (grey pixels under a Bernoulli likelihood)",
        bound=f"a {_BINARISED}",
        axis="the bound (grey pixels)",
    ),
}

# The terms of a loss that is no bound, by the objective's names for them.
TERMS = {
    "mmd": "MMD²",
    "latent_square": "½‖z‖²",
    "weight_square": "‖θ‖²",
    "labelled_bound": "bound on log p(x, y)",
    "unlabelled_bound": "bound on log p(x)",
    "classification": "−log q(y|x)",
    "correct": "accuracy of q(y|x)",
}
