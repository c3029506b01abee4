"""DD: gradients through a network's training, runs against a plain version, and the learned recipe."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from condensery import methods, networks, streams
from condensery.errors import CondenseryError
from condensery.experiment import load_config
from condensery.methods.dd import Unrolled
from condensery.run import Recorder, Run
from condensery.training import evaluation, loop, recipes, stacking
from condensery.training.samples import Samples
from tests import problems
from tests.interrupted import Stopped, Stopping

CONFIG = Path(__file__).parents[1] / "config"
DD = methods.get("dd")
SMOOTH = "convnet-d2-w8-swish-in"
LABELS = torch.tensor([0, 0, 1, 1, 2, 2])  # of a step: two images of each class


def problem(**changes):
    """Return a small problem for DD: 4 images per class in 2 steps."""
    parameters = {
        "iterations": 3,
        "stages": 2,
        "networks": 2,
        "steps": 2,
        "epochs": 2,
        "lr_net": 0.1,
        "lr_img": 0.05,
        "batch_real": 16,
    }
    fields = {"ipc": 4, "network": SMOOTH} | changes
    return problems.problem(**(fields | {"parameters": parameters | changes.get("parameters", {})}))


def point(case, seed=0, dtype=torch.float64):
    """Return images (steps, B, C, H, W) and rates (epochs, steps) to differentiate at."""
    generator = torch.Generator().manual_seed(seed)
    steps, epochs = case.parameters["steps"], case.parameters["epochs"]
    images = torch.randn(steps, len(LABELS), 3, 16, 16, generator=generator, dtype=dtype)
    return images, torch.rand(epochs, steps, generator=generator, dtype=dtype) + 0.1


def plain_network(case, address, dtype):
    net = networks.build(case.network, channels=3, size=(16, 16), classes=3).to(dtype)
    return networks.initialize(net, streams.generator(case.seed, "network", *address)).train()


def plain_loss(case, images, rates, iteration):
    """Return the loss of real images after the training, all of it one graph."""
    split, total = case.data.train, 0.0
    order = torch.randperm(len(split), generator=streams.generator(case.seed, "real", iteration))
    rows = order[: case.parameters["batch_real"]]
    real, answers = split.batch(rows, torch.device("cpu")), torch.as_tensor(split.labels)[rows]
    for number in range(case.parameters["networks"]):
        net = plain_network(case, (iteration, number), images.dtype)
        weights = dict(net.named_parameters())
        for row in rates:
            for rate, batch in zip(row, images, strict=True):
                loss = F.cross_entropy(functional_call(net, weights, batch), LABELS)
                gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
                moved = zip(weights.items(), gradients, strict=True)
                weights = {name: w - rate * g for (name, w), g in moved}
        total = total + F.cross_entropy(functional_call(net, weights, real.to(images.dtype)), answers)
    return total / case.parameters["networks"]


@pytest.mark.parametrize("network", [SMOOTH, "lenet", "convnet-d2-w8-bn"])
@pytest.mark.parametrize("iteration", [0, 7])
def test_gradient_is_that_of_one_graph_through_all_steps(network, iteration):
    case = problem(network=network)
    images, rates = point(case)
    unrolled = Unrolled(case)
    unrolled.functional.network.double()
    assert torch.equal(unrolled.labels, LABELS)
    of_images, of_rates, loss = unrolled.gradient(images, rates, iteration)
    expected = plain_loss(case, images.requires_grad_(), rates.requires_grad_(), iteration)
    wanted = torch.autograd.grad(expected, (images, rates))
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(of_images, wanted[0], rtol=1e-7, atol=1e-12)
    torch.testing.assert_close(of_rates, wanted[1], rtol=1e-7, atol=1e-12)


def test_gradient_is_the_slope_of_the_loss():
    """Central differences in float64, along random directions of images and of rates."""
    case = problem()
    images, rates = point(case)
    unrolled = Unrolled(case)
    unrolled.functional.network.double()
    of_images, of_rates, _ = unrolled.gradient(images, rates, 1)
    generator = torch.Generator().manual_seed(1)
    for of, at in ((of_images, images), (of_rates, rates)):
        for _ in range(2):
            direction = torch.randn(at.shape, generator=generator, dtype=torch.float64)
            losses = []
            for step in (1e-5, -1e-5):
                moved = [x + step * direction if x is at else x for x in (images, rates)]
                losses.append(unrolled.gradient(*moved, 1)[2])
            difference = (losses[0] - losses[1]) / 2e-5
            torch.testing.assert_close((of * direction).sum(), difference, rtol=1e-5, atol=1e-10)


def test_real_images_may_go_through_the_network_in_parts():
    images, rates = point(problem(), dtype=torch.float32)
    little = dataclasses.replace(problems.CPU, memory_bytes=1)
    whole, parts = (Unrolled(case).gradient(images, rates, 0) for case in (problem(), problem(device=little)))
    torch.testing.assert_close(parts, whole, rtol=1e-3, atol=1e-6)


def test_bfloat16_points_where_float32_does():
    images, rates = point(problem(), dtype=torch.float32)
    half = dataclasses.replace(problems.CPU, precision="bf16")
    gradients = [Unrolled(case).gradient(images, rates, 0)[0] for case in (problem(), problem(device=half))]
    assert gradients[1].dtype == torch.float32
    assert torch.cosine_similarity(*(g.flatten() for g in gradients), dim=0) > 0.95
    assert not torch.equal(*gradients)


def plain_run(case):
    """Return images and rates of a run with PyTorch's own optimizer and graph."""
    parameters = case.parameters
    noise = [torch.randn(4, 3, 16, 16, generator=streams.generator(0, "noise", c)) for c in case.classes]
    # Images 0 and 1 of every class are those of the first step, 2 and 3 those of the second.
    images = torch.stack([torch.cat([x[2 * s : 2 * s + 2] for x in noise]) for s in range(2)])
    images, raw = torch.nn.Parameter(images), torch.nn.Parameter(torch.full((2, 2), 0.1).expm1().log())
    adam = torch.optim.Adam([images, raw], lr=parameters["lr_img"], betas=(0.5, 0.999))
    for iteration in range(parameters["iterations"]):
        adam.param_groups[0]["lr"] = parameters["lr_img"] * (0.5 if iteration >= 2 else 1.0)
        adam.zero_grad()
        plain_loss(case, images, F.softplus(raw), iteration).backward()
        adam.step()
    return images.detach(), F.softplus(raw).detach()


def test_a_run_is_that_of_a_plain_version():
    """The second of the two stages of three iterations begins with the third."""
    case = problem()
    synthetic = DD.condense(case)
    images, rates = plain_run(case)
    torch.testing.assert_close(synthetic.images, images.flatten(0, 1), rtol=0, atol=2e-3)
    torch.testing.assert_close(synthetic.learning_rate, rates, rtol=1e-3, atol=1e-4)
    assert (synthetic.learning_rate - 0.1).abs().min() > 1e-4  # all of them moved
    assert torch.equal(synthetic.labels, LABELS.repeat(2))


@pytest.mark.parametrize("last", [1, 2])
def test_a_stopped_run_ends_in_the_same_bytes(tmp_path: Path, last: int):
    case = problem()
    DD.condense(case).save(tmp_path / "undisturbed.safetensors")
    with pytest.raises(Stopped):
        DD.condense(case, run=Run(Stopping(tmp_path / "state", last)))
    resumed = Stopping(tmp_path / "state", -1)
    DD.condense(case, run=Run(resumed)).save(tmp_path / "resumed.safetensors")
    assert resumed.saved == list(range(last + 1, 4))  # it resumed after the interruption
    undisturbed = (tmp_path / "undisturbed.safetensors").read_bytes()
    assert (tmp_path / "resumed.safetensors").read_bytes() == undisturbed


# ---- the recipe with the learned rates of a set


def test_the_learned_recipe_takes_the_very_steps_of_the_condensation():
    case = problem(parameters={"iterations": 2})
    synthetic = DD.condense(case)
    recipe = recipes.resolve({"name": "learned"}, synthetic)
    assert (recipe.name, recipe.epochs, recipe.epochs_run, recipe.batch) == ("learned", 2, 2, 6)
    for seeds in ([5], [5, 6]):
        stacked = stacking.StackedNetworks(case.network, case.data.info, seeds, problems.CPU, images=0)
        loop.train(stacked, Samples.of_set(synthetic, problems.CPU), recipe)
        for number, seed in enumerate(seeds):
            net = networks.build(case.network, channels=3, size=(16, 16), classes=3)
            networks.initialize(net, streams.generator(seed, "evaluation-network"))
            for row in synthetic.learning_rate:
                for rate, batch in zip(row, synthetic.images.split(6), strict=True):
                    net.zero_grad()
                    F.cross_entropy(net(batch), LABELS).backward()
                    with torch.no_grad():
                        for parameter in net.parameters():
                            parameter -= rate * parameter.grad
            for name, tensor in stacked.state().items():
                got = tensor[number] if len(seeds) > 1 else tensor
                torch.testing.assert_close(got, net.state_dict()[name], rtol=1e-3, atol=1e-5)


def test_an_interrupted_training_with_learned_rates_goes_on(tmp_path: Path):
    case = problem(parameters={"iterations": 1, "epochs": 3})
    synthetic = DD.condense(case)
    recipe = recipes.resolve({"name": "learned"}, synthetic)
    arguments = (
        case.network,
        Samples.of_set(synthetic, problems.CPU),
        case.data.test,
        recipe,
        [1],
        problems.CPU,
    )
    undisturbed = evaluation.evaluate(*arguments)
    with pytest.raises(Stopped):
        evaluation.evaluate(*arguments, run=Run(Stopping(tmp_path / "state", 2)))
    resumed = evaluation.evaluate(*arguments, run=Run(Stopping(tmp_path / "state", -1)))
    assert resumed[0].accuracy == undisturbed[0].accuracy


@pytest.mark.slow
def test_learning_brings_accuracy_that_noise_does_not():
    case = problem(parameters={"iterations": 40, "networks": 1, "lr_img": 0.1, "batch_real": 40})
    scores = []
    for iterations in (1, 40):
        synthetic = DD.condense(
            dataclasses.replace(case, parameters=case.parameters | {"iterations": iterations})
        )
        recipe = recipes.resolve({"name": "learned"}, synthetic)
        samples = Samples.of_set(synthetic, problems.CPU)
        outcomes = evaluation.evaluate(case.network, samples, case.data.test, recipe, range(5), problems.CPU)
        scores.append(sum(outcome.accuracy for outcome in outcomes) / 5)
    assert scores[0] < 60
    assert scores[1] > 90


@pytest.mark.parametrize("rates", [None, 0.01, torch.tensor(0.01), torch.ones(3), torch.ones(1, 4)])
def test_a_set_without_a_rate_for_each_step_is_refused_in_one_line(rates):
    synthetic = methods.get("random").condense(problems.problem())  # 6 images
    synthetic.learning_rate = rates
    with pytest.raises(CondenseryError, match="carries no learning rate for each of its steps") as refused:
        recipes.resolve({"name": "learned"}, synthetic)
    assert "\n" not in str(refused.value)
    with pytest.raises(CondenseryError, match="recipe learned"):
        recipes.resolve({"name": "learned"}, None)


# ---- configuration and refusals


def test_published_values():
    config = load_config(CONFIG, "paper")
    common = {"stages": 10, "networks": 1, "steps": 10, "epochs": 3, "lr_img": 0.01, "batch_real": 1024}
    mnist, cifar10 = (
        config.parameters(*cell, 10) for cell in (("mnist", "dd", "lenet"), ("cifar10", "dd", "alexnet"))
    )
    assert mnist == common | {"iterations": 400 * 59, "lr_net": 0.02}
    assert cifar10 == common | {"iterations": 400 * 49, "lr_net": 0.001}
    assert config.recipe("learned", "mnist", 10, "lenet") == {"name": "learned"}


def test_what_dd_cannot_do_is_refused_in_one_line():
    with pytest.raises(CondenseryError, match=r"divide 3 images per class among 2 steps.*divisor of 3"):
        DD.condense(problem(ipc=3))
    with pytest.raises(CondenseryError, match="--snapshots"):
        DD.condense(problem(), run=Run(recorder=Recorder([1])))
