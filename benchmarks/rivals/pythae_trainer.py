"""pythae's own trainer on its own VAE, with an encoder and a decoder of the same layers.

`BaseTrainer.train()` runs unmodified, one epoch a round over a training subset, with its default
progress bar and console logger, without validation. A callback, pythae's own way to look in, takes
the time from the beginning of the epoch's steps to the end of the last, so that set-up, saving and
its copy of the best model do not count.
"""

# torch and pythae are in .venv-bench alone.
# pyright: reportMissingImports=false

import tempfile
import time
from typing import Any

from benchmarks import protocol, workload
from benchmarks.rivals.torch_eager import network


def _vae() -> Any:
    import torch
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            BaseEncoder.__init__(self)
            self.network = network(workload.ENCODER)

        def forward(self, x: Any) -> Any:
            mean, log_variance = self.network(x).chunk(2, dim=-1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            BaseDecoder.__init__(self)
            self.network = network(workload.DECODER)

        def forward(self, z: Any) -> Any:
            return ModelOutput(reconstruction=torch.sigmoid(self.network(z)))

    config = VAEConfig(
        input_dim=(workload.PIXELS,), latent_dim=workload.LATENT, reconstruction_loss="bce"
    )
    return VAE(config, encoder=Encoder(), decoder=Decoder())


def _importance(model: Any, rows: Any) -> protocol.Action:
    """Its own `get_nll` as it is, at its own batch size; without gradients, which it would keep."""
    import torch

    def importance(digits: int, samples: int) -> dict[str, Any]:
        model.eval()
        with torch.no_grad():
            started = time.perf_counter()
            model.get_nll(rows[:digits], n_samples=samples)
            return {"seconds": time.perf_counter() - started}

    return importance


def prepare(options: dict[str, Any]) -> tuple[dict[str, protocol.Action], dict[str, Any]]:
    """Builds model and data; each round makes a trainer of its own around them."""
    import numpy as np
    import torch
    from pythae.data.datasets import BaseDataset
    from pythae.samplers import NormalSampler
    from pythae.trainers import BaseTrainer, BaseTrainerConfig
    from pythae.trainers.training_callbacks import TrainingCallback

    torch.set_num_threads(options["threads"])
    torch.manual_seed(workload.SEED)
    rows = torch.from_numpy(workload.images()[0].astype(np.float32) / 255)
    labels = torch.zeros(len(rows))
    model = _vae()
    folder = tempfile.TemporaryDirectory(prefix="elbax-bench-pythae-")

    class Watch(TrainingCallback):
        started = ended = 0.0

        def on_train_step_begin(self, *_: Any, **__: Any) -> None:
            self.started = time.perf_counter()

        def on_train_step_end(self, *_: Any, **__: Any) -> None:
            self.ended = time.perf_counter()

    def run(steps: int) -> dict[str, Any]:
        chosen = slice(0, steps * workload.BATCH)
        watch = Watch()
        config = BaseTrainerConfig(
            output_dir=folder.name,
            learning_rate=workload.LEARNING_RATE,
            per_device_train_batch_size=workload.BATCH,
            num_epochs=1,
            optimizer_cls="Adam",
        )
        trainer = BaseTrainer(
            model=model,
            train_dataset=BaseDataset(rows[chosen], labels[chosen]),
            training_config=config,
            callbacks=[watch],
        )
        trainer.train()
        return {"seconds": watch.ended - watch.started, "steps": len(trainer.train_loader)}

    def encode(count: int) -> dict[str, Any]:
        model.eval()
        with torch.no_grad():
            started = time.perf_counter()
            means, scales = [], []
            for x in rows[:count].split(500):  # the batch size of its own sampler
                output = model.encoder(x.to(model.device))
                means.append(output.embedding.cpu())
                scales.append(torch.exp(0.5 * output.log_covariance).cpu())
            _ = torch.cat(means).numpy(), torch.cat(scales).numpy()
            return {"seconds": time.perf_counter() - started, "images": count}

    def sample(count: int) -> dict[str, Any]:
        model.eval()
        started = time.perf_counter()
        with torch.no_grad():
            NormalSampler(model).sample(num_samples=count).cpu().numpy()
        return {"seconds": time.perf_counter() - started, "images": count}

    run(min(20, options["steps"]))
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    actions = {
        "run": run,
        "encode": encode,
        "sample": sample,
        "importance": _importance(model, rows),
    }
    return actions, {"device": device, "threads": torch.get_num_threads()}


if __name__ == "__main__":
    protocol.serve(prepare)
