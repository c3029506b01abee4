"""One case to measure: a hot loop, its sizes and its precision."""

from __future__ import annotations

from dataclasses import dataclass

# Hot loop -> its step.
LOOPS = {
    "dm": "DM: one step of the pixels",
    "dsa-pixels": "DC/DSA: one step of the pixels",
    "dsa-network": "DC/DSA: one epoch of the network on the synthetic set",
    "training": "evaluation: one epoch of every network on a synthetic set",
    "testing": "evaluation: 10,000 images through every network",
}

# The methods after DM, and what one step of each is.
METHODS = {
    "datadam": "DataDAM: one step of the pixels",
    "m3d": "M3D: one step of the pixels",
    "dance": "DANCE: one step of the pixels along each of its two losses",
    "ncfm": "NCFM: one step of the pixels along each of its two losses",
    "idm": "IDM: one step of the pixels, and of the queue's networks",
    "idc": "IDC: one step of the pixels, and the network's training that follows it",
}

TEST_IMAGES = 10_000


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        study: ``loops``, ``methods``, or the size that varies: ``classes``, ``ipc``, ``size`` or ``images``.
        loop: a key of :data:`LOOPS`, in the study ``methods`` of :data:`METHODS`.
        precision: ``fp32``, ``tf32`` or ``bf16``.
        compiled: whether the library may compile networks where this saves time.
        classes: classes of the data set.
        ipc: synthetic images per class.
        size: side of the images, in pixels; 28 is gray, everything else RGB.
        batch_real: real images per class in a step.
        images: training images in the data set.
        networks: networks that are trained or tested together.
        network: the architecture.
    """

    study: str
    loop: str
    precision: str = "fp32"
    compiled: bool = False
    classes: int = 10
    ipc: int = 10
    size: int = 32
    batch_real: int = 256
    images: int = 50_000
    networks: int = 1
    network: str = "convnet"

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return 1 if self.size == 28 else 3

    @property
    def dataset(self) -> str:
        """A data set of config/datasets.yaml with images of this size."""
        return {28: "mnist", 64: "tinyimagenet"}.get(self.size, "cifar10")

    @property
    def images_per_step(self) -> int | None:
        """Images that go through a network in one step; an image seen by two networks counts twice.

        Not counted for the methods after DM, which decode images and train networks by parameters of theirs.
        """
        synthetic = self.classes * self.ipc
        return {
            "dm": synthetic + self.classes * self.batch_real,
            "dsa-pixels": synthetic + self.classes * self.batch_real,
            "dsa-network": synthetic,
            "training": synthetic * self.networks,
            "testing": TEST_IMAGES * self.networks,
        }.get(self.loop)

    def describe(self) -> str:
        """Return the case in a few words, for progress lines."""
        how = f"{self.precision}{' compiled' if self.compiled else ''}"
        sizes = f"{self.classes} classes, ipc {self.ipc}, {self.size} px, {self.images:,} images"
        networks = f", {self.networks} networks" if self.networks > 1 else ""
        return f"{self.loop}: {sizes}{networks}, {how}"
