r"""Make a figure that is a map of synthetic and real images in the feature space of a trained network.

Writes the figure as .png and .pdf, and the coordinates of every image as .csv.

Example:
    python scripts/embedding.py --data digits --protocol smoke \
        --features results/smoke/features/digits/convnet/seed0.safetensors \
        --sets results/smoke/synthetic/digits/dm/convnet/ipc10/seed0.safetensors \
        --classes 3 --real-images 100 --out figure3.png
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from condensery import console
from condensery.errors import CondenseryError
from condensery.experiment.catalog import of_kind
from condensery.experiment.target_kinds import Embedding
from condensery.jobs.arguments import add_arguments, opened
from condensery.reporting import tsne_figure
from condensery.reporting.labels import Labels
from condensery.reporting.tsne import embed
from condensery.training.pretrained import trained_network


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = console.parser(__doc__)
    console.add_figure_argument(parser, list(of_kind(Embedding)))
    add_arguments(parser)
    parser.add_argument(
        "--features", type=Path, required=True, metavar="FILE", help="the file that scripts/pretrain.py wrote"
    )
    parser.add_argument(
        "--sets", nargs="+", type=Path, required=True, metavar="SET", help="synthetic sets, one panel each"
    )
    parser.add_argument(
        "--classes",
        type=console.whole_number("--classes", 1, 10**6),
        required=True,
        metavar="N",
        help="show the first N classes only",
    )
    parser.add_argument(
        "--real-images",
        type=console.whole_number("--real-images", 1, 10**9),
        required=True,
        metavar="N",
        help="real images of each class",
    )
    return parser.parse_args()


def main() -> None:
    """Map the images, and write the figure and the coordinates.

    Raises:
        CondenseryError: an argument or the configuration is invalid, or a set or the network is of another
            data set.
    """
    args = parse()
    job = opened(args)
    info = job.data.info
    for option, count, most in (
        ("--classes", args.classes, len(info.classes)),
        ("--real-images", args.real_images, len(job.data.train)),
    ):
        if not 0 < count <= most:
            raise CondenseryError(f"{option} {count} is out of range: {info.name} allows 1 to {most}")
    sets = [job.load_set(path) for path in args.sets]
    network = trained_network(args.features, info, job.network).to(job.device.torch_device)
    started = time.perf_counter()
    frame = embed(
        job.data.train,
        sets,
        network,
        classes=args.classes,
        count=args.real_images,
        device=job.device,
    )
    about = job.columns() | {"network": job.network, "seconds": time.perf_counter() - started}
    prefix = args.out.with_suffix("")
    tsne_figure.write_coordinates(frame, prefix)
    tsne_figure.draw(args.figure, frame, about, Labels.of(job.config)).write(prefix)
