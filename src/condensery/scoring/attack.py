"""PGD: the images near the test images that a network gets most wrong, found by projected gradient ascent.

Madry et al. 2018, equation 1 with the maximum norm. Radius, step and number of steps are those of BEARD's PGD
(arXiv 2411.09265), untargeted and started at the image itself: 8/255, 2/255 and 10. BEARD's public code has
the step 2/225, and attacks normalized images as if they were in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

RADIUS = 8 / 255
STEP = 2 / 255
STEPS = 10


def attacked(logits: Callable[[Tensor], Tensor], images: Tensor, labels: Tensor) -> Tensor:
    """Change images so that a network misclassifies them, as far as the search succeeds.

    Each of `STEPS` steps moves each pixel by `STEP` along the sign of the gradient of the cross-entropy, and
    projects it into the ball of `RADIUS` around the image and into [0, 1].

    Args:
        logits: the network, which maps images in [0, 1], (..., C, H, W), to logits (..., classes).
        images: in [0, 1], float (..., C, H, W).
        labels: the classes of the images, int64 (...).

    Returns:
        Images of the same shape, in [0, 1]; no pixel differs by more than the radius.
    """
    low, high = (images - RADIUS).clamp(0, 1), (images + RADIUS).clamp(0, 1)
    found = images.clone()
    for _ in range(STEPS):
        found.requires_grad_()
        loss = functional.cross_entropy(logits(found).flatten(0, -2), labels.flatten(), reduction="sum")
        (gradient,) = torch.autograd.grad(loss, found)
        found = torch.minimum(torch.maximum(found.detach() + STEP * gradient.sign(), low), high)
    return found
