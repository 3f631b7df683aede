"""Images of one's own: `python examples/own_images.py [steps] [folder]`.

Without a folder it writes one, of small discs, so that it runs anywhere.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import elbax

steps = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
folder = Path(sys.argv[2] if len(sys.argv) > 2 else "discs")

if not folder.exists():
    folder.mkdir()
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:16, :16]
    for number in range(300):
        across, down, radius = rng.uniform((4, 4, 2), (12, 12, 4))
        distance = np.hypot(x - across, y - down)
        grey = 255 * np.clip(radius - distance + 0.5, 0, 1)
        Image.fromarray(grey.astype(np.uint8)).save(folder / f"{number:03}.png")

run = elbax.train(folder, latent_dim=3, network="conv", iterations=steps, out="runs/example-images",
                  force=True,
                  report=False)  # fmt: skip
print(run)
run.figure("reconstruct").savefig("own-images.png")
print("own-images.png: even columns hold reconstructions, odd ones the originals")
