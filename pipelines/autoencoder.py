"""An autoencoder, and a picture of its reconstructions of test images.

    python -m pipelines.autoencoder                                        # MNIST, about a minute
    python -m pipelines.autoencoder --config configs/digits_autoencoder.yaml

Needs Pillow: pip install -e '.[images]'. Writes reconstructions.png into the run's folder: originals in one
line, their reconstructions in the line below.
"""

from __future__ import annotations

import click
import numpy as np
from PIL import Image
from rich.console import Console

from daskpar import progress
from daskpar.build import make_trainer, open_data
from daskpar.cluster import open_client
from daskpar.config import load_config

COLUMNS, SCALE = 16, 3


@click.command()
@click.option(
    "--config", "path", default="configs/mnist_autoencoder.yaml", show_default=True, help="Config to train."
)
def main(path: str) -> None:
    """Train an autoencoder, and draw originals above their reconstructions."""
    config, console = load_config(path), Console()
    parts = open_data(config)
    assert parts.test is not None
    with open_client(config.cluster.kind, config.cluster.workers) as client:
        trainer = make_trainer(config, client, [progress(console)])
        trainer.fit(parts.train, validation=parts.validation)
        console.print(f"test loss {trainer.evaluate(parts.test)['loss']:.4f}")
        originals, _ = parts.test.read(slice(0, 2 * COLUMNS))
        drawn = trainer.predict(originals, "probabilities")
    config.folder.mkdir(parents=True, exist_ok=True)
    target = config.folder / "reconstructions.png"
    peak = parts.test.source.max_value or 1.0
    picture(originals / peak, drawn.reshape(originals.shape)).save(target)
    console.print(f"{target}: originals above, reconstructions below")


def picture(originals: np.ndarray, drawn: np.ndarray) -> Image.Image:
    """Return one image of all images (rows, height, width, 1) from 0 to 1: a line of each kind in turns."""
    lines = []
    for start in range(0, len(originals), COLUMNS):
        for images in (originals, drawn):
            lines.append(np.concatenate(list(images[start : start + COLUMNS, ..., 0]), axis=1))
    pixels = (255 * np.clip(np.concatenate(lines), 0, 1)).astype(np.uint8)
    return Image.fromarray(pixels.repeat(SCALE, axis=0).repeat(SCALE, axis=1))


if __name__ == "__main__":
    main()
