"""PyTorch, eagerly, with the layers of elbax's convolutional pair; the rest as in `torch_eager`."""

# torch and pythae are in .venv-bench alone.
# pyright: reportMissingImports=false

from typing import Any

from benchmarks import protocol, workload
from benchmarks.rivals.torch_eager import prepare_step

CHANNELS, DENSE, SMALL = (32, 64), 256, 7  # two halvings of 28 pixels


def networks() -> tuple[Any, Any]:
    """4 × 4 convolutions of stride 2, 32 and 64 channels, a dense layer of 256; and back."""
    from torch import nn

    first, second = CHANNELS
    flat, halving = second * SMALL**2, {"kernel_size": 4, "stride": 2, "padding": 1}
    encoder = nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        nn.Conv2d(1, first, **halving),
        nn.ReLU(),
        nn.Conv2d(first, second, **halving),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(flat, DENSE),
        nn.ReLU(),
        nn.Linear(DENSE, 2 * workload.LATENT),
    )
    decoder = nn.Sequential(
        nn.Linear(workload.LATENT, DENSE),
        nn.ReLU(),
        nn.Linear(DENSE, flat),
        nn.ReLU(),
        nn.Unflatten(1, (second, SMALL, SMALL)),
        nn.ConvTranspose2d(second, first, **halving),
        nn.ReLU(),
        nn.ConvTranspose2d(first, 1, **halving),
        nn.Flatten(),
    )
    return encoder, decoder


def prepare(options: dict[str, Any]) -> tuple[dict[str, protocol.Action], dict[str, Any]]:
    """The plain step."""
    return prepare_step(options, lambda loss: loss, networks)


if __name__ == "__main__":
    protocol.serve(prepare)
