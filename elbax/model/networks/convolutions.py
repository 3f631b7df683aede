"""Convolutions of one image, channels last: products of matrices on a CPU, `lax.conv` elsewhere.

XLA's convolutions on a CPU are slow, and disastrous in the body of a loop. So there a convolution
is lowered by hand: the pixels under the kernel are put side by side, and one product with the
kernel follows. Under `vmap` the rows of all images fold into that one product. A transposed
convolution is the adjoint: one product, then what overlaps is added, in blocks of the stride.

Padding is that of `lax`'s "SAME": an image of n pixels and a stride of s give ⌈n / s⌉; what has to
be added is divided between both ends, and an odd pixel goes to the far one.
"""

import itertools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from elbax.model.networks.linear_maps import row_product, transposed_pair

Image = Float[Array, "_ _ _"]  # (height, width, channels)
Kernel = Float[Array, "_ _ _ _"]  # (height, width, input channels, output channels)


def convolve(image: Image, kernel: Kernel, stride: int = 1) -> Image:
    """The cross-correlation of an image with a kernel, as networks mean it by "convolution".

    Args:
        image: `(height, width, in)`.
        kernel: `(kernel height, kernel width, in, out)`.
        stride: The step between outputs, both ways.

    Returns:
        `(⌈height / stride⌉, ⌈width / stride⌉, out)`.
    """
    return jax.lax.platform_dependent(
        image,
        kernel,
        cpu=lambda image, kernel: _product(image, kernel, stride),
        default=lambda image, kernel: _lax_convolution(image, kernel, stride),
    )


def convolve_transposed(
    image: Image, kernel: Kernel, shape: tuple[int, int], stride: int = 1
) -> Image:
    """The adjoint of `convolve`, from `⌈shape / stride⌉` to `shape`.

    Output pixel `stride × i + k − low` gets the sum of `image[i] @ kernel[k]`, where `low` is what
    "SAME" pads the near end of an image of `shape` with. It is `lax.conv_transpose` with
    `transpose_kernel` and the last two axes of the kernel exchanged.

    Args:
        image: `(⌈shape[0] / stride⌉, ⌈shape[1] / stride⌉, in)`.
        kernel: `(kernel height, kernel width, in, out)`.
        shape: The height and width of the output: not known from those of the image.
        stride: The step that the inputs make in the output, both ways.

    Returns:
        `(*shape, out)`.
    """
    return jax.lax.platform_dependent(
        image,
        kernel,
        cpu=lambda image, kernel: _overlap_add(image, kernel, shape, stride),
        default=lambda image, kernel: _lax_transposed(image, kernel, shape, stride),
    )


def padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """How many zeros "SAME" puts before and after `size` pixels."""
    total = max((math.ceil(size / stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


# --- on a CPU ------------------------------------------------------------------------------


def _product(image: Image, kernel: Kernel, stride: int) -> Image:
    blocks = _blocked_kernel(kernel, stride)
    patches = _patches(image, shape=image.shape[:2], kernel=kernel.shape[:2], stride=stride)
    return row_product(patches, blocks)


def _overlap_add(image: Image, kernel: Kernel, shape: tuple[int, int], stride: int) -> Image:
    # The kernel as that of the convolution whose adjoint this is: from `out` to `in` channels.
    blocks = _blocked_kernel(jnp.swapaxes(kernel, 2, 3), stride)
    product = row_product(image, blocks.T)
    return _overlapping(product, shape=shape, kernel=kernel.shape[:2], stride=stride)


def _cut(
    images: Array, shape: tuple[int, int], kernel: tuple[int, int], stride: int
) -> Float[Array, "*data rows columns patch"]:
    """What the kernel sees at each output, in the order of `_blocked_kernel`.

    One strided slice for each pixel of the kernel: faster than slices of `_space_to_depth`, which
    take two passes over patches that are larger than the caches.
    """
    rows, columns = (math.ceil(size / stride) for size in shape)
    down, across = (math.ceil(size / stride) for size in kernel)
    leading = [(0, 0, 0)] * (images.ndim - 3)
    # Pixels up to the last one that a kernel of whole blocks would cover; some may be cut off.
    pads = [
        (low, (count + more - 1) * stride - size - low, 0)
        for size, count, more, low in zip(
            shape, (rows, columns), (down, across), _low(shape, kernel, stride), strict=True
        )
    ]
    padded = jax.lax.pad(images, jnp.zeros((), images.dtype), [*leading, *pads, (0, 0, 0)])

    def slices(first: int, count: int) -> slice:
        return slice(first, first + (count - 1) * stride + 1, stride)

    pieces = [
        padded[..., slices(i * stride + u, rows), slices(j * stride + v, columns), :]
        for i, j, u, v in itertools.product(
            range(down), range(across), range(stride), range(stride)
        )
    ]
    return jnp.concatenate(pieces, axis=-1) if len(pieces) > 1 else pieces[0]


def _add(
    patches: Array, shape: tuple[int, int], kernel: tuple[int, int], stride: int
) -> Float[Array, "*data height width channels"]:
    """The transpose of `_cut`: each pixel gets the sum of what lies on it."""
    down, across = (math.ceil(size / stride) for size in kernel)
    leading = [(0, 0, 0)] * (patches.ndim - 3)
    zero = jnp.zeros((), patches.dtype)
    pieces = iter(jnp.split(patches, down * across, axis=-1))
    total = zero
    for i in range(down):
        for j in range(across):
            pads = [*leading, (i, down - 1 - i, 0), (j, across - 1 - j, 0), (0, 0, 0)]
            total += jax.lax.pad(next(pieces), zero, pads)
    whole = _depth_to_space(total, stride)
    crops = [
        (-low, size + low - have, 0)
        for low, size, have in zip(
            _low(shape, kernel, stride), shape, whole.shape[-3:-1], strict=True
        )
    ]
    return jax.lax.pad(whole, zero, [*leading, *crops, (0, 0, 0)])


_patches, _overlapping = transposed_pair("patches", _cut, _add)


def _low(shape: tuple[int, int], kernel: tuple[int, int], stride: int) -> tuple[int, int]:
    first, second = (
        padding(size, length, stride)[0] for size, length in zip(shape, kernel, strict=True)
    )
    return first, second


def _blocked_kernel(kernel: Kernel, stride: int) -> Float[Array, "patch out"]:
    """The kernel filled up with zeros to whole blocks of the stride, block by block."""
    height, width, channels, out = kernel.shape
    down, across = math.ceil(height / stride), math.ceil(width / stride)
    fill = [(0, down * stride - height), (0, across * stride - width), (0, 0), (0, 0)]
    blocks = jnp.pad(kernel, fill).reshape(down, stride, across, stride, channels, out)
    return blocks.transpose(0, 2, 1, 3, 4, 5).reshape(-1, out)


def _depth_to_space(deep: Array, stride: int) -> Array:
    if stride == 1:
        return deep
    *data, rows, columns, depth = deep.shape
    blocks = deep.reshape(-1, rows, columns, stride, stride, depth // stride**2)
    blocks = blocks.transpose(0, 1, 3, 2, 4, 5)
    return blocks.reshape(*data, rows * stride, columns * stride, -1)


# --- elsewhere -----------------------------------------------------------------------------

_LAYOUT = ("NHWC", "HWIO", "NHWC")


def _lax_convolution(image: Image, kernel: Kernel, stride: int) -> Image:
    return jax.lax.conv_general_dilated(
        image[None], kernel, (stride, stride), "SAME", dimension_numbers=_LAYOUT
    )[0]


def _lax_transposed(image: Image, kernel: Kernel, shape: tuple[int, int], stride: int) -> Image:
    # A convolution of the image with zeros between its pixels and the kernel turned round.
    pads = []
    for size, length, have in zip(shape, kernel.shape[:2], image.shape[:2], strict=True):
        before = length - 1 - padding(size, length, stride)[0]
        pads.append((before, size + length - 1 - before - ((have - 1) * stride + 1)))
    return jax.lax.conv_general_dilated(
        image[None],
        kernel[::-1, ::-1],
        (1, 1),
        pads,
        lhs_dilation=(stride, stride),
        dimension_numbers=_LAYOUT,
    )[0]
