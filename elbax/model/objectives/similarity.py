"""Images compared by their structure, at several scales, in the place of the reconstruction."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, Scalar

from elbax.model.interfaces import Batch, Metrics
from elbax.model.latent_variable_model import LatentVariableModel
from elbax.model.objectives.stateless import AbstractStatelessObjective
from elbax.model.objectives.terms import (
    ElboTerms,
    check_not_negative,
    draw,
    map_rows,
    mean,
    metrics,
)

Image = Float[Array, "_ _ _"]  # (height, width, channels)

# Of the scales, the finest first (Wang et al. 2003, §3.2).
_EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
_SIGMA = 1.5  # of the window, in pixels
# K₁ and K₂ (Wang et al. 2004, §III.C): what steadies the two ratios, as shares of the range.
_K = (0.01, 0.03)
_LEAST = 1e-4  # of a factor: the power of what is near 0 has no derivative


class StructuralSimilarity(AbstractStatelessObjective):
    """λ (1 − MS-SSIM(x, E[x|z])) + KL(q(z|x) ‖ p(z)), over the batch (Snell et al. 2017).

    The reconstruction error of an image is its multi-scale structural similarity (Wang et al. 2003)
    with the mean of p(x|z), at one draw z ~ q(z|x); pixels that were not observed are taken to be
    as reconstructed. p(x|z) counts by its mean alone: of a likelihood that learns a scale, that
    stays as it started. `elbo` and `reconstruction` are reported as of any model.

    Attributes:
        scale: λ, what the worst similarity costs in nats beside the KL.
        window: Pixels of the side of the window, odd; 11 is Wang et al.'s. Smaller ones leave
            more scales to small images: at each one, half the size of the one before, the window
            must fit; there are five at most. It shrinks to an image that is smaller.
        span: How far apart the least and the greatest value of a pixel are.
    """

    name: ClassVar[str] = "ms-ssim"
    images_only: ClassVar[bool] = True

    scale: float = eqx.field(static=True, default=100.0)
    window: int = eqx.field(static=True, default=11)
    span: float = eqx.field(static=True, default=1.0)

    def __check_init__(self) -> None:
        check_not_negative(scale=self.scale)
        if self.window < 1 or self.window % 2 == 0:
            raise ValueError(f"window is {self.window}; it must be an odd number of pixels")
        if not self.span > 0:
            raise ValueError(f"span is {self.span}; it must be above 0")

    def loss(
        self, model: LatentVariableModel, batch: Batch, *, step: Int[Array, ""], key: PRNGKeyArray
    ) -> tuple[Scalar, Metrics]:
        """Metrics as `NegativeELBO`'s, and `similarity`, from 0 to 1."""
        del step

        def of_datum(
            x: Array, key: PRNGKeyArray, mask: Array | None, condition: Array | None
        ) -> tuple[Scalar, ElboTerms]:
            _, z, terms = draw(model, x, key, mask, condition)
            rebuilt = model.decode(z, condition).mean
            observed = ~jnp.isnan(x) if mask is None else ~jnp.isnan(x) & mask
            seen = jnp.where(observed, jnp.where(observed, x, 0.0), rebuilt)
            return ms_ssim(seen, rebuilt, self.window, self.span), terms

        similarity, terms = map_rows(of_datum, batch, key)
        average, similarity = mean(terms), jnp.mean(similarity)
        loss = self.scale * (1.0 - similarity) + average.kl
        if average.missingness is not None:
            loss = loss - average.missingness
        return loss, {**metrics(average), "similarity": similarity}


def ms_ssim(a: Image, b: Image, window: int = 11, span: float = 1.0) -> Scalar:
    """The multi-scale structural similarity of two images (Wang et al. 2003, eq. 7).

    Averages over the places where the window fits, and over the channels; of each scale but the
    coarsest the contrast and structure, of that one the luminance as well. The exponents are
    theirs, divided by the sum of those that are used. With one scale it is the structural
    similarity of Wang et al. 2004, with a Gaussian window of 1.5 pixels.

    Args:
        a: One image.
        b: Another of the same shape.
        window: The side of the window in pixels.
        span: How far apart the least and the greatest value of a pixel are.
    """
    side = min(a.shape[:2])
    window = min(window, side if side % 2 else side - 1)
    scales = 1
    while scales < len(_EXPONENTS) and side >> scales >= window and side >> scales > 1:
        scales += 1
    exponents = np.array(_EXPONENTS[:scales]) / sum(_EXPONENTS[:scales])
    found = []
    for scale in np.arange(scales):
        luminance, structure = _similarities(a, b, window, span)
        last = scale == scales - 1
        found.append(jnp.mean(luminance * structure if last else structure, axis=(0, 1)))
        a, b = (a, b) if last else (_halved(a), _halved(b))
    factors = jnp.maximum(jnp.stack(found), _LEAST)
    return jnp.mean(jnp.prod(factors ** jnp.asarray(exponents, a.dtype)[:, None], axis=0))


def _similarities(a: Image, b: Image, window: int, span: float) -> tuple[Image, Image]:
    """Of luminance, and of contrast with structure, at each place (Wang et al. 2004, eq. 6, 13)."""
    one, two = ((k * span) ** 2 for k in _K)
    rows, columns = (_windows(size, window, a.dtype) for size in a.shape[:2])

    def local(image: Image) -> Image:
        return jnp.einsum("ih,jw,hwc->ijc", rows, columns, image)

    mean_a, mean_b = local(a), local(b)
    variances = local(a * a) - mean_a**2 + local(b * b) - mean_b**2
    covariance = local(a * b) - mean_a * mean_b
    luminance = (2.0 * mean_a * mean_b + one) / (mean_a**2 + mean_b**2 + one)
    return luminance, (2.0 * covariance + two) / (variances + two)


def _windows(size: int, window: int, dtype: np.dtype) -> Float[Array, "places {size}"]:
    """The weights of the pixels of one side at each place of the window: a product averages."""
    offsets = np.arange(window) - window // 2
    weights = np.exp(-0.5 * (offsets / _SIGMA) ** 2)
    found = np.zeros((size - window + 1, size))
    for place, row in enumerate(found):
        row[place : place + window] = weights / weights.sum()
    return jnp.asarray(found, dtype)


def _halved(image: Image) -> Image:
    """Averages of two by two pixels; an odd one at the far end is left out."""
    height, width, channels = image.shape
    even = image[: height // 2 * 2, : width // 2 * 2]
    return even.reshape(height // 2, 2, width // 2, 2, channels).mean(axis=(1, 3))
