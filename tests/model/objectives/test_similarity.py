"""Structural similarity by scipy's own filters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage

from elbax.model import Batch, NegativeELBO, StructuralSimilarity, ms_ssim
from elbax.model.compatibility import unsuited_shape
from elbax.recipes import ModelOptions
from elbax.recipes.choice import Choice
from elbax.recipes.compatibility import check
from tests import laws
from tests.laws import Composition, in_float64

EXPONENTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def maps(a, b, radius, span):
    """SSIM's two factors where the window fits, of one channel (Wang et al. 2004)."""

    def local(image):
        blurred = scipy.ndimage.gaussian_filter(image, 1.5, truncate=radius / 1.5, mode="constant")
        end = [slice(radius, size - radius) for size in image.shape]
        return blurred[tuple(end)]

    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    ma, mb = local(a), local(b)
    va, vb, cov = local(a * a) - ma**2, local(b * b) - mb**2, local(a * b) - ma * mb
    return (2 * ma * mb + c1) / (ma**2 + mb**2 + c1), (2 * cov + c2) / (va + vb + c2)


def by_scipy(a, b, scales, radius, span=1.0):
    exponents = EXPONENTS[:scales] / EXPONENTS[:scales].sum()
    channels = []
    for channel in range(a.shape[-1]):
        x, y = a[..., channel], b[..., channel]
        found = 1.0
        for scale in range(scales):
            luminance, structure = maps(x, y, radius, span)
            last = scale == scales - 1
            found *= np.mean(luminance * structure if last else structure) ** exponents[scale]
            x, y = (scipy.ndimage.uniform_filter(i, 2, origin=-1)[::2, ::2] for i in (x, y))
        channels.append(found)
    return np.mean(channels)


def pictures(shape, seed=0):
    rng = np.random.default_rng(seed)
    a = scipy.ndimage.gaussian_filter(rng.random(shape), (2, 2, 0))
    a = (a - a.min()) / (a.max() - a.min())
    return a, np.clip(a + 0.1 * rng.normal(size=shape), 0, 1)


@in_float64
@pytest.mark.parametrize(
    ("shape", "window", "scales"),
    [((16, 18, 3), 11, 1), ((28, 28, 1), 7, 3), ((176, 176, 1), 11, 5)],
)
def test_it_is_the_similarity_by_scipys_filters(shape, window, scales):
    a, b = map(jnp.asarray, pictures(shape))
    found = float(jax.jit(ms_ssim, static_argnums=2)(a, b, window))
    assert found == pytest.approx(by_scipy(a, b, scales, window // 2), rel=1e-9)
    assert 0.1 < found < 0.99
    assert float(ms_ssim(a, a, window)) == pytest.approx(1, rel=1e-12)
    # It does not depend on the unit, if that is told.
    assert float(ms_ssim(255 * a, 255 * b, window, 255.0)) == pytest.approx(found, rel=1e-9)


@in_float64
def test_the_loss_is_of_the_mean_image_and_the_kl_of_the_elbo():
    composition = Composition(network="conv")
    model, batch = composition.model(3), composition.batch(4, rows=5)
    objective = StructuralSimilarity(7.0, 3, 4.0)
    loss, (_, metrics) = laws.call(objective, model, batch, 5)
    _, (_, plain) = laws.call(NegativeELBO(), model, batch, 5)
    for name in ("elbo", "kl", "reconstruction"):
        assert float(metrics[name]) == pytest.approx(float(plain[name]), rel=1e-12)
    expected = 7 * (1 - metrics["similarity"]) + metrics["kl"]
    assert float(loss) == pytest.approx(float(expected), rel=1e-12)

    # A pixel that was not observed is taken to be as reconstructed.
    nothing = Batch(batch.x, mask=jnp.zeros(batch.x.shape, bool))
    loss, (_, metrics) = laws.call(objective, model, nothing, 5)
    assert float(metrics["similarity"]) == pytest.approx(1, rel=1e-12)
    assert float(loss) == pytest.approx(float(metrics["kl"]), rel=1e-12)


def test_only_images_are_compared():
    assert unsuited_shape(StructuralSimilarity, (8, 8, 1)) is None
    options = ModelOptions(latent_dim=2, network=Choice("mlp"))
    with pytest.raises(ValueError, match=r"ms-ssim is for images, .* \(5,\): choose --obj.* elbo,"):
        check(options, (5,), Choice("normal"), StructuralSimilarity)
    with pytest.raises(ValueError, match="window is 4"):
        StructuralSimilarity(1.0, 4)
