"""PyTorch, eagerly: fused Adam, the data as float tensors in memory, no DataLoader."""

# torch and pythae are in .venv-bench alone.
# pyright: reportMissingImports=false

import time
from collections.abc import Callable
from typing import Any

from benchmarks import protocol, workload


def network(sizes: tuple[int, ...]) -> Any:
    """Linear layers with ReLU between them, Glorot-uniform with zero bias, as in elbax."""
    from torch import nn

    parts: list[Any] = []
    for inputs, outputs in workload.layers(sizes):
        linear = nn.Linear(inputs, outputs)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def perceptrons() -> tuple[Any, Any]:
    """The summary's encoder and decoder."""
    return network(workload.ENCODER), network(workload.DECODER)


def prepare_step(
    options: dict[str, Any],
    wrap: Callable[[Any], Any],
    networks: Callable[[], tuple[Any, Any]] = perceptrons,
) -> tuple[dict[str, protocol.Action], dict[str, Any]]:
    """The training step, `wrap`ped: by nothing, or by the compiler."""
    import numpy as np
    import torch
    from torch.nn import functional

    torch.set_num_threads(options["threads"])
    torch.manual_seed(workload.SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    rows = torch.from_numpy(workload.images()[0].astype(np.float32) / 255).to(device)
    encoder, decoder = (part.to(device) for part in networks())
    parameters = [*encoder.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=workload.LEARNING_RATE, fused=True)

    def negative_elbo(x: Any) -> Any:
        mean, log_variance = encoder(x).chunk(2, dim=-1)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        entropy = functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        kl = 0.5 * torch.sum(log_variance.exp() + mean**2 - 1 - log_variance)
        return (entropy + kl) / len(x)

    loss_of = wrap(negative_elbo)

    def run(steps: int) -> dict[str, Any]:
        started = time.perf_counter()
        order = torch.randperm(len(rows), device=device)[: steps * workload.BATCH]
        loss = torch.zeros(())
        for chosen in order.split(workload.BATCH):
            loss = loss_of(rows[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        value = loss.item()  # waits for the last step
        return {"seconds": time.perf_counter() - started, "steps": steps, "loss": value}

    run(min(20, options["steps"]))
    run(min(20, options["steps"]))
    name = torch.cuda.get_device_name() if device == "cuda" else "cpu"
    return {"run": run}, {"device": name, "threads": torch.get_num_threads()}


def prepare(options: dict[str, Any]) -> tuple[dict[str, protocol.Action], dict[str, Any]]:
    """The plain step."""
    return prepare_step(options, lambda loss: loss)


if __name__ == "__main__":
    protocol.serve(prepare)
