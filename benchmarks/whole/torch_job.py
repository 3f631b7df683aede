"""PyTorch, eagerly, with what makes it fast: fused Adam, tensors in memory, no DataLoader."""

# torch is in .venv-bench alone.
# pyright: reportMissingImports=false

import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.whole.common import BATCH, LATENT, job, report


def network(*sizes: int) -> nn.Sequential:
    """Linear layers with ReLU between them, Glorot-uniform."""
    parts: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        linear = nn.Linear(inputs, outputs)
        nn.init.xavier_uniform_(linear.weight)
        nn.init.zeros_(linear.bias)
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


torch.manual_seed(0)
iterations, out, labels, train, test = job()
encoder = network(784, 512, 384, 256, 2 * LATENT)
decoder = network(LATENT, 256, 384, 512, 784)
parameters = [*encoder.parameters(), *decoder.parameters()]
optimizer = torch.optim.Adam(parameters, lr=1e-3, fused=True)
rows, held_out = torch.from_numpy(train), torch.from_numpy(test)


def terms(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy and KL of each row."""
    mean, log_variance = encoder(x).chunk(2, dim=-1)
    z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
    entropy = functional.binary_cross_entropy_with_logits(decoder(z), x, reduction="none").sum(-1)
    return entropy, 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum(-1)


losses, kls, step = [], [], 0
while step < iterations:
    for chosen in torch.randperm(len(rows)).split(BATCH)[: iterations - step]:
        entropy, kl = terms(rows[chosen])
        loss = (entropy + kl).mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
        kls.append(kl.detach().mean())
        step += 1

with torch.no_grad():
    found = [terms(held_out[part]) for _ in range(10) for part in torch.arange(10_000).split(500)]
    elbo = -torch.cat([entropy + kl for entropy, kl in found]).mean().item()
    again = [terms(part) for part in rows.split(500)]
    of_train = -torch.cat([entropy + kl for entropy, kl in again]).mean().item()

    def encode(x: np.ndarray) -> np.ndarray:
        """The posterior means."""
        with torch.no_grad():
            return encoder(torch.from_numpy(x))[:, :LATENT].numpy()

    def decode(z: np.ndarray) -> np.ndarray:
        """The pixels' probabilities."""
        with torch.no_grad():
            return torch.sigmoid(decoder(torch.from_numpy(z))).numpy()


torch.save({"encoder": encoder.state_dict(), "decoder": decoder.state_dict()}, out / "model.pt")
history = {"loss": torch.stack(losses).numpy(), "kl": torch.stack(kls).numpy()}
report(out, {"test": elbo, "train": of_train}, history, labels, train, test, encode, decode)
