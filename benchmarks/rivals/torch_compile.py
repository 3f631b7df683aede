"""PyTorch with `torch.compile` around the loss, forward and backward; the rest as in eager mode."""

# torch and pythae are in .venv-bench alone.
# pyright: reportMissingImports=false

from typing import Any

from benchmarks import protocol
from benchmarks.rivals.torch_eager import prepare_step


def prepare(options: dict[str, Any]) -> tuple[dict[str, protocol.Action], dict[str, Any]]:
    """The compiled step."""
    import torch

    return prepare_step(options, torch.compile)


if __name__ == "__main__":
    protocol.serve(prepare)
