"""Convolutions of one image, channels last: products of matrices on a CPU, `lax.conv` elsewhere.

XLA's convolutions on a CPU are slow, and disastrous in the body of a loop. So there a convolution
is lowered by hand: the image is cut into blocks of the stride (space to depth), the blocks under
the kernel are put side by side, and one product with the kernel follows. Under `vmap` the rows of
all images fold into that one product. A transposed convolution is the adjoint: one product, then
the overlapping blocks are added.

Padding is that of `lax`'s "SAME": an image of n pixels and a stride of s give ⌈n / s⌉; what has to
be added is divided between both ends, and an odd pixel goes to the far one.
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

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
    rows, columns = (math.ceil(size / stride) for size in image.shape[:2])
    blocks = _blocked_kernel(kernel, stride)
    down, across, block, out = blocks.shape
    # Pixels up to the last one that a kernel of whole blocks would cover; some may be cut off.
    pads = [
        (low, (count + more - 1) * stride - size - low, 0)
        for size, count, more, low in zip(
            image.shape[:2], (rows, columns), (down, across), _low(image.shape, kernel, stride),
            strict=True,
        )
    ]  # fmt: skip
    padded = jax.lax.pad(image, jnp.zeros((), image.dtype), [*pads, (0, 0, 0)])
    deep = _space_to_depth(padded, stride)
    patches = [deep[i : i + rows, j : j + columns] for i in range(down) for j in range(across)]
    together = jnp.concatenate(patches, axis=-1) if len(patches) > 1 else patches[0]
    return together @ blocks.reshape(down * across * block, out)


def _overlap_add(image: Image, kernel: Kernel, shape: tuple[int, int], stride: int) -> Image:
    # The kernel as that of the convolution whose adjoint this is: from `out` to `in` channels.
    blocks = _blocked_kernel(jnp.swapaxes(kernel, 2, 3), stride)
    down, across, block, channels = blocks.shape
    product = image @ blocks.reshape(down * across * block, channels).T
    # Split, not indexed: the transpose of a split is one concatenation, that of indices is slow.
    pieces = iter(jnp.split(product, down * across, axis=-1))
    total = jnp.zeros((), image.dtype)
    for i in range(down):
        for j in range(across):
            pads = [(i, down - 1 - i, 0), (j, across - 1 - j, 0), (0, 0, 0)]
            total += jax.lax.pad(next(pieces), jnp.zeros((), image.dtype), pads)
    whole = _depth_to_space(total, stride)
    lows = _low(shape, kernel, stride)
    crops = [
        (-low, size + low - have, 0)
        for low, size, have in zip(lows, shape, whole.shape[:2], strict=True)
    ]
    return jax.lax.pad(whole, jnp.zeros((), image.dtype), [*crops, (0, 0, 0)])


def _low(shape: tuple[int, ...], kernel: Kernel, stride: int) -> tuple[int, int]:
    first, second = (
        padding(size, length, stride)[0]
        for size, length in zip(shape[:2], kernel.shape[:2], strict=True)
    )
    return first, second


def _blocked_kernel(kernel: Kernel, stride: int) -> Float[Array, "_ _ _ _"]:
    """The kernel filled up with zeros to whole blocks: (down, across, in a block, out)."""
    height, width, channels, out = kernel.shape
    down, across = math.ceil(height / stride), math.ceil(width / stride)
    fill = [(0, down * stride - height), (0, across * stride - width), (0, 0), (0, 0)]
    blocks = jnp.pad(kernel, fill).reshape(down, stride, across, stride, channels, out)
    return blocks.transpose(0, 2, 1, 3, 4, 5).reshape(down, across, stride * stride * channels, out)


def _space_to_depth(image: Image, stride: int) -> Image:
    if stride == 1:
        return image
    height, width, channels = image.shape
    blocks = image.reshape(height // stride, stride, width // stride, stride, channels)
    blocks = blocks.transpose(0, 2, 1, 3, 4)
    return blocks.reshape(height // stride, width // stride, stride * stride * channels)


def _depth_to_space(deep: Image, stride: int) -> Image:
    if stride == 1:
        return deep
    rows, columns, depth = deep.shape
    blocks = deep.reshape(rows, columns, stride, stride, depth // stride**2)
    return blocks.transpose(0, 2, 1, 3, 4).reshape(rows * stride, columns * stride, -1)


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
