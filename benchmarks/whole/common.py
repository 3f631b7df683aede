"""What every script needs beside its model: the IDX files, and the summary's seven pictures."""

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("agg")
import matplotlib.pyplot as plt

BATCH, LATENT = 100, 10


def read(folder: Path, stem: str) -> np.ndarray:
    """One of the four files: images as rows of bytes, or labels."""
    packed = gzip.decompress(next(folder.glob(f"{stem}*.gz")).read_bytes())
    if "labels" in stem:
        return np.frombuffer(packed, np.uint8, offset=8)
    return np.frombuffer(packed, np.uint8, offset=16).reshape(-1, 784)


def job() -> tuple[int, Path, tuple[np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """What the words say: iterations and folder; then the rows to train on and to test, labels."""
    data, iterations, out = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    train, test = read(data, "train-images"), read(data, "t10k-images")
    shown = read(data, "train-labels")[:55_000], read(data, "t10k-labels")
    return iterations, out, shown, train[:55_000] / np.float32(255), test / np.float32(255)


def sheet(rows: np.ndarray, columns: int) -> np.ndarray:
    """Rows of 784 numbers as one picture."""
    lines = rows.reshape(-1, columns, 28, 28)
    return lines.transpose(0, 2, 1, 3).reshape(len(lines) * 28, columns * 28)


def save(out: Path, name: str) -> None:
    """Writes what was drawn."""
    plt.tight_layout()
    plt.savefig(out / f"{name}.png", dpi=120)
    plt.close()


def report(
    out: Path,
    bound: dict[str, float],
    history: dict[str, np.ndarray],
    labels: tuple[np.ndarray, np.ndarray],
    train: np.ndarray,
    test: np.ndarray,
    encode: Callable[[np.ndarray], np.ndarray],
    decode: Callable[[np.ndarray], np.ndarray],
) -> None:
    """The test bound and the seven pictures."""
    (out / "results.json").write_text(json.dumps(bound))
    draw = np.random.default_rng(0)

    rows = test[draw.choice(len(test), 100, replace=False)]
    pairs = np.stack([decode(encode(rows)), rows], axis=1).reshape(-1, 784)
    plt.imsave(out / "reconstruct.png", sheet(pairs, 20), cmap="gray")
    made = decode(draw.normal(size=(100, LATENT)).astype(np.float32))
    plt.imsave(out / "generated.png", sheet(made, 10), cmap="gray")

    _, panels = plt.subplots(1, 2, figsize=(10, 4))
    for axes, name in zip(panels, ("loss", "kl"), strict=True):
        axes.semilogx(np.arange(1, len(history[name]) + 1), history[name], linewidth=0.7)
        axes.set(title=name, xlabel="iteration", ylabel="nats")
    save(out, "train_process")

    means = encode(test)
    first, second = np.argsort(-means.var(axis=0))[:2]
    for side, name in ((20, "top_infer"), (60, "top_label")):
        line = np.quantile(draw.normal(size=100_000), (np.arange(side) + 0.5) / side)
        z = np.zeros((side * side, LATENT), np.float32)
        z[:, first], z[:, second] = np.tile(line, side), np.repeat(line, side)
        made = decode(z)
        if name == "top_infer":
            plt.imsave(out / f"{name}.png", sheet(made, side), cmap="gray")
            continue
        known = train[:8000]
        far = (known**2).sum(1) - 2 * made @ known.T
        near = np.argpartition(far, 5, axis=1)[:, :5]
        votes = (labels[0][:8000][near][:, :, None] == np.arange(10)).sum(1).argmax(1)
        _, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6))
        left.imshow(votes.reshape(side, side), origin="lower", cmap="tab10")
        right.scatter(means[:, first], means[:, second], c=labels[1], s=2, cmap="tab10")
        save(out, name)

    dots = draw.normal(size=(1000, 2))
    _, (left, right) = plt.subplots(1, 2, figsize=(8, 4))
    left.scatter(*dots.T, s=3)
    right.scatter(*(dots / 10 + dots / np.linalg.norm(dots, axis=1, keepdims=True)).T, s=3)
    save(out, "normal")

    _, axes = plt.subplots(figsize=(8, 4))
    axes.axis("off")
    for place, words in enumerate(("x", "encoder", "μ, Σ", "z = μ + Σ^½ ε", "decoder", "loss")):
        axes.text(0.05 + 0.17 * place, 0.5, words, bbox={"boxstyle": "round", "fc": "white"})
    axes.annotate("ε ~ N(0, I)", (0.57, 0.55), (0.52, 0.85), arrowprops={"arrowstyle": "->"})
    save(out, "reparam")
