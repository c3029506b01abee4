"""LD: the gradient through a step, runs against a plain version, and uses of sets with soft labels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch.func import functional_call

from condensery import exchange, methods, networks, streams
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.gathering import gather
from condensery.methods.ld import Learner, Plateau
from condensery.reporting import images_figure
from condensery.reporting.labels import Labels
from condensery.run import Recorder, Run
from condensery.synthetic import SyntheticSet
from condensery.training import evaluation
from condensery.training.recipes import Recipe
from condensery.training.samples import Samples
from tests import problems
from tests.interrupted import Stopped, Stopping

CONFIG = Path(__file__).parents[1] / "config"
LD = methods.get("ld")
SMOOTH = "convnet-d2-w8-swish-in"


def problem(**changes):
    """Return a small problem for LD: 6 images, 4 of them in a batch."""
    parameters = {
        "iterations": 9,
        "patience": 2,
        "lr_label": 0.05,
        "lr_inner": 0.1,
        "lr_net": 0.01,
        "batch_net": 4,
        "batch_real": 16,
    }
    fields = {"network": SMOOTH} | changes
    return problems.problem(**(fields | {"parameters": parameters | changes.get("parameters", {})}))


def plain_network(case, number, dtype=torch.float32):
    net = networks.build(case.network, channels=3, size=(16, 16), classes=3).to(dtype)
    return networks.initialize(net, streams.generator(case.seed, "network", number)).train()


def plain_loss(case, net, images, labels, iteration):
    """Return the loss of real images after a step on soft labels, the network's gradient, and the errors."""
    split = case.data.train
    order = torch.randperm(len(split), generator=streams.generator(case.seed, "real", iteration))
    rows = order[: case.parameters["batch_real"]]
    real, answers = split.batch(rows, torch.device("cpu")), torch.as_tensor(split.labels)[rows]
    loss = -(labels * net(images).log_softmax(1)).sum(1).mean()
    gradients = torch.autograd.grad(loss, list(net.parameters()), create_graph=True)
    step = case.parameters["lr_inner"]
    after = {name: w - step * g for (name, w), g in zip(net.named_parameters(), gradients, strict=True)}
    logits = functional_call(net, after, real.to(images.dtype))
    return F.cross_entropy(logits, answers), gradients, int((logits.argmax(1) != answers).sum())


@pytest.mark.parametrize("network", [SMOOTH, "lenet", "convnet-d2-w8-bn"])
@pytest.mark.parametrize("iteration", [0, 7])
def test_gradient_is_that_of_one_graph_and_the_slope_of_the_loss(network, iteration):
    case = problem(network=network)
    learner = Learner(case)
    learner.functional.network.double()
    learner._renew()  # the second network, in float64
    learner.images = learner.images.double()
    generator = torch.Generator().manual_seed(0)
    learner.labels = torch.rand(6, 3, generator=generator, dtype=torch.float64)
    rows = torch.tensor([5, 0, 3])
    change, of_labels, loss, wrong = learner.gradient(rows, iteration)
    net = plain_network(case, 1, torch.float64)
    labels = learner.labels[rows].requires_grad_()
    expected, gradients, errors = plain_loss(case, net, learner.images[rows], labels, iteration)
    (wanted,) = torch.autograd.grad(expected, labels)
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(of_labels, wanted, rtol=1e-7, atol=1e-13)
    torch.testing.assert_close(change, [g.detach() for g in gradients], rtol=1e-7, atol=1e-12)
    assert int(wrong) == errors
    if network == SMOOTH:
        direction = torch.randn(3, 3, generator=generator, dtype=torch.float64)
        losses, before = [], learner.labels.clone()
        for step in (1e-4, -1e-4):
            learner.labels = before.index_add(0, rows, step * direction)
            losses.append(learner.gradient(rows, iteration)[2])
        difference = (losses[0] - losses[1]) / 2e-4
        torch.testing.assert_close((of_labels * direction).sum(), difference, rtol=1e-5, atol=1e-12)


def plain_run(case):
    """Return the labels of a run with PyTorch's own graph, and the steps at which new networks began."""
    parameters, patience = case.parameters, case.parameters["patience"]
    images = methods.get("random").condense(case).images
    labels = torch.nn.Parameter(torch.full((6, 3), 1 / 3))
    labels_adam = torch.optim.Adam([labels], lr=parameters["lr_label"])
    started, errors = [], None
    for iteration in range(parameters["iterations"]):
        if errors is None:
            net = plain_network(case, len(started))
            net_adam = torch.optim.Adam(net.parameters(), lr=parameters["lr_net"])
            started.append(iteration)
            errors = []
        stream = streams.generator(case.seed, "inner-batch", iteration)
        rows = torch.randperm(6, generator=stream)[: parameters["batch_net"]]
        labels_adam.zero_grad()
        net_adam.zero_grad()
        loss, gradients, wrong = plain_loss(case, net, images[rows], labels[rows], iteration)
        (labels.grad,) = torch.autograd.grad(loss, labels)
        for parameter, gradient in zip(net.parameters(), gradients, strict=True):
            parameter.grad = gradient.detach()
        net_adam.step()
        labels_adam.step()
        with torch.no_grad():
            clamped = labels.clamp(0, 1)
            labels.copy_(clamped / clamped.sum(1, keepdim=True))
        errors.append(wrong)
        sums = [sum(errors[i : i + patience]) for i in range(len(errors) - patience + 1)]
        if sums and len(sums) - 1 - sums.index(min(sums)) > patience:
            errors = None
    return labels.detach(), started


def test_a_run_is_that_of_a_plain_version():
    case = problem(parameters={"iterations": 12, "patience": 1})
    synthetic = LD.condense(case)
    labels, started = plain_run(case)
    assert len(started) > 1  # more than one network took part
    torch.testing.assert_close(synthetic.labels, labels, rtol=0, atol=2e-3)
    assert (synthetic.labels - 1 / 3).abs().max() > 0.05
    assert torch.equal(synthetic.images, methods.get("random").condense(case).images)


def test_labels_begin_uniform_and_stay_probabilities():
    nothing = LD.condense(problem(parameters={"iterations": 0}))
    torch.testing.assert_close(nothing.labels, torch.full((6, 3), 1 / 3))
    synthetic = LD.condense(problem(parameters={"iterations": 12, "lr_label": 0.3}))
    assert synthetic.labels.dtype == torch.float32
    assert (synthetic.labels >= 0).all()
    torch.testing.assert_close(synthetic.labels.sum(1), torch.ones(6))
    assert (synthetic.labels == 0).any()  # some were cut off at zero
    learner = Learner(problem())
    learner.labels[:2] = torch.tensor([[-0.1, 0.0, -2.0], [-1.0, 0.5, 2.0]])
    learner._normalize()
    torch.testing.assert_close(learner.labels[0], torch.full((3,), 1 / 3))
    torch.testing.assert_close(learner.labels[1], torch.tensor([0.0, 1 / 3, 2 / 3]))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 6), st.integers(1, 20))
def test_a_network_goes_on_as_long_as_its_mean_error_reaches_new_lows(errors, patience, every):
    plateau = Plateau(patience)
    means: list[float] = []
    for count, wrong in enumerate(errors, start=1):
        reached = plateau.reached(torch.tensor(wrong))
        if count >= patience:
            means.append(sum(errors[count - patience : count]) / patience)
        best = means.index(min(means)) if means else 0
        assert reached == (len(means) - 1 - best > patience)
        if reached:
            break  # a network that goes on begins with another plateau
        if count % every == 0:
            again = Plateau(patience)
            again.restore(plateau.state())
            plateau = again


@pytest.mark.parametrize("last", [1, 5, 8])
def test_a_stopped_run_ends_in_the_same_bytes(tmp_path: Path, last: int):
    case = problem(parameters={"patience": 1})
    LD.condense(case).save(tmp_path / "undisturbed.safetensors")
    with pytest.raises(Stopped):
        LD.condense(case, run=Run(Stopping(tmp_path / "state", last)))
    resumed = Stopping(tmp_path / "state", -1)
    LD.condense(case, run=Run(resumed)).save(tmp_path / "resumed.safetensors")
    assert resumed.saved == list(range(last + 1, 10))  # it resumed after the interruption
    undisturbed = (tmp_path / "undisturbed.safetensors").read_bytes()
    assert (tmp_path / "resumed.safetensors").read_bytes() == undisturbed


def test_learned_labels_train_better_than_uniform_ones():
    """With one image per class, whose labels are learned from all real images."""
    changes = {"iterations": 60, "batch_net": 3, "batch_real": 40, "patience": 10}
    case = problem(ipc=1, parameters=changes)
    recipe = Recipe("dc", 20, 0.05, 0.9, 0.0, batch=8, augmentation="none")
    scores = []
    for iterations in (0, 60):
        synthetic = LD.condense(
            dataclasses.replace(case, parameters=case.parameters | {"iterations": iterations})
        )
        samples = Samples.of_set(synthetic, problems.CPU)
        outcomes = evaluation.evaluate(case.network, samples, case.data.test, recipe, range(3), problems.CPU)
        scores.append(sum(outcome.accuracy for outcome in outcomes) / 3)
    assert scores[0] < 60
    assert scores[1] > 90


# ---- other uses of sets with soft labels


@pytest.fixture(scope="module")
def learned() -> SyntheticSet:
    """Return a set in which not every class is the most probable one of an image."""
    synthetic = LD.condense(problem())
    synthetic.labels = torch.tensor([[0.5, 0.3, 0.2], [0.2, 0.8, 0.0]]).repeat(3, 1)
    experiment = {"dataset": "patterns", "method": "ld", "network": SMOOTH, "ipc": 2, "seed": 0}
    synthetic.provenance = {"experiment": {"protocol": "test"} | experiment}
    return synthetic


def test_soft_labels_survive_export_and_gathering(learned: SyntheticSet, tmp_path: Path):
    info = problems.real_data().info
    exchange.to_npz(learned, tmp_path / "set.npz")
    exchange.to_png_folders(learned, tmp_path / "images")
    gathered = gather([learned])
    for back in (
        exchange.from_npz(tmp_path / "set.npz"),
        exchange.from_png_folders(tmp_path / "images", info),
        gathered,
    ):
        assert torch.equal(back.labels, learned.labels)
        assert torch.equal(back.class_indices, torch.tensor([0, 1] * 3))
        torch.testing.assert_close(back.uint8_images(), learned.uint8_images())
    assert torch.equal(gathered.images, learned.images)  # in the order of their own classes
    with pytest.raises(CondenseryError, match="no soft labels; export it as npz"):
        exchange.to_reference_pt([learned], tmp_path / "set.pt")


def test_a_figure_shows_images_under_their_most_probable_class(learned: SyntheticSet, tmp_path: Path):
    drawing = images_figure.build("figure2", [learned], Labels("test"))
    drawing.write(tmp_path / "figure2")
    assert (tmp_path / "figure2.png").stat().st_size > 1000


# ---- configuration and refusals


@pytest.mark.parametrize(
    ("dataset", "ipc", "iterations", "patience", "batch_net"),
    [
        ("mnist", 1, 400 * 49, 50, 10),
        ("mnist", 10, 400 * 49, 50, 50),
        ("mnist", 50, 800 * 49, 200, 50),
        ("cifar10", 1, 400 * 44, 50, 10),
        ("cifar10", 10, 400 * 44, 50, 50),
        ("cifar10", 50, 800 * 44, 200, 50),
        ("cifar100", 1, 800 * 44, 100, 100),
    ],
)
def test_published_values(dataset, ipc, iterations, patience, batch_net):
    values = load_config(CONFIG, "paper").parameters(dataset, "ld", "lenet", ipc)
    assert values == {
        "iterations": iterations,
        "patience": patience,
        "lr_label": 0.001,
        "lr_inner": 0.01,
        "lr_net": 0.001,
        "batch_net": batch_net,
        "batch_real": 1024,
    }


def test_snapshots_are_refused_in_one_line():
    with pytest.raises(CondenseryError, match="--snapshots"):
        LD.condense(problem(), run=Run(recorder=Recorder([1])))
