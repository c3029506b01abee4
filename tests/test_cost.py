"""The cost of runs: the work of a job, and its time in seconds."""

from __future__ import annotations

import csv
import dataclasses
import statistics
import time
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from condensery import cost, networks
from condensery.cost import generator_work, work
from condensery.cost.condensing_work import FORMULAS
from condensery.cost.rates import fit
from condensery.cost.work import Work
from condensery.data import DataInfo
from condensery.errors import CondenseryError
from condensery.experiment import Config, load_config
from condensery.experiment.schemas import schema
from condensery.generators import KINDS, vae
from condensery.generators.discriminator import Discriminator
from condensery.machine import speed

ROOT = Path(__file__).resolve().parents[1]
RATES = ROOT / "benchmarks/rates.yaml"


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(ROOT / "config", "paper")


def counted(network: str, channels: int, size: tuple[int, int]) -> int:
    """Count the multiply-adds of the convolutions and linear layers of a network, layer by layer."""
    net = networks.build(network, channels=channels, size=size, classes=10).to("meta").eval()
    total = 0

    def add(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    net(torch.empty(1, channels, *size, device="meta"))
    return total


@pytest.mark.parametrize(
    ("dataset", "network"),
    [
        *(("cifar10", name) for name in ("mlp", "lenet", "alexnet", "vgg11", "resnet18", "resnet18ap-bn")),
        *(("cifar10", f"convnet-{rest}") for rest in ("d1-w32", "d4-w256-bn", "nopool", "sigmoid-ln-max")),
        ("mnist", "convnet"),
        ("tinyimagenet", "convnet-d4"),
    ],
)
def test_multiply_adds_and_weights_are_those_of_the_layers(
    config: Config, dataset: str, network: str
) -> None:
    entry = config.dataset(dataset)
    channels, size = entry["channels"], tuple(entry["size"])
    truth = counted(network, channels, size)
    assert work.multiply_adds(config, dataset, network) == pytest.approx(truth, rel=0.1)
    net = networks.build(network, channels=channels, size=size, classes=config.class_count(dataset))
    truth = sum(parameter.numel() for parameter in net.to("meta").parameters())
    assert work.weights(config, dataset, network) == pytest.approx(truth, rel=0.1)


def test_work_of_matching_features(config: Config) -> None:
    # DM: 20,000 steps; of 10 classes 256 real images go forward, 50 synthetic ones also back to the pixels.
    image = work.multiply_adds(config, "cifar10", "convnet")
    expected = Work("features", 20000, 20000 * 10 * (256 + 2 * 50) * image)
    assert cost.of_job(config, "condense", coordinates("cifar10", "dm", 50)) == expected


def test_work_of_matching_gradients(config: Config) -> None:
    # DSA: 1,000 networks; 10 steps of the pixels, and 50 epochs of one batch between two steps.
    image = work.multiply_adds(config, "cifar10", "convnet")
    amount = cost.of_job(config, "condense", coordinates("cifar10", "dsa", 10))
    assert amount.steps == 1000 * (10 + 9 * 50)
    matching, training = 10 * 10 * (3 * 256 + 9 * 10), 9 * 50 * 3 * 100
    assert amount.multiply_adds == pytest.approx(1000 * (matching + training) * image)


def test_work_of_differentiating_through_training(config: Config) -> None:
    # DD: 30 steps forwards and backwards, on 10 images each, and 1,024 real images at the end.
    image = work.multiply_adds(config, "cifar10", "alexnet")
    dd = cost.of_job(config, "condense", coordinates("cifar10", "dd", 10) | {"network": "alexnet"})
    assert dd.steps == 19600 * (30 + 30 + 1)
    assert dd.multiply_adds == pytest.approx(19600 * (30 * 10 * (3 + 9) + 3 * 1024) * image)
    # LD: one step on 50 of 100 images, then 1,024 real ones.
    ld = cost.of_job(config, "condense", coordinates("cifar10", "ld", 10) | {"network": "alexnet"})
    assert ld.multiply_adds == pytest.approx(17600 * (9 * 50 + 3 * 1024) * image)
    learned = coordinates("cifar10", "dd", 10) | {"recipe": "learned", "evaluation": "alexnet"}
    amount = cost.of_job(config, "evaluate", learned)
    assert 20 * 10000 * image < amount.multiply_adds < 20 * 11000 * image  # testing, for the most part


def counted_by_hooks(network: nn.Module, *inputs: torch.Tensor) -> int:
    """Count the multiply-adds of the convolutions and linear layers that one image passes."""
    total = 0

    def add(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(add)
    network.eval()(*inputs)
    return total


@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10", "tinyimagenet"])
def test_work_of_a_generator_is_that_of_its_networks(config: Config, dataset: str) -> None:
    entry, classes = config.dataset(dataset), config.class_count(dataset)
    one, ones = (1.0,) * entry["channels"], ("class",) * classes
    info = DataInfo(dataset, entry["channels"], *entry["size"], ones, one, one)
    image, label = torch.zeros(1, info.channels, info.height, info.width), torch.zeros(1, dtype=torch.int64)
    forward, work = {}, {}
    for kind, training in KINDS.items():
        parameters = config.generator_parameters(dataset, kind)
        forward[kind] = counted_by_hooks(
            training.make(info, parameters), torch.zeros(1, parameters["noise"]), label
        )
        assert generator_work.multiply_adds(config, dataset, kind) == pytest.approx(forward[kind], rel=0.1)
        wildcards = {"dataset": dataset, "method": kind, "ipc": "10", "network": "convnet"}
        work[kind] = cost.of_job(config, "generator", wildcards)
        sampling = cost.of_job(config, "condense", wildcards)
        assert sampling.multiply_adds == pytest.approx(10 * classes * forward[kind], rel=0.1)
        # Without a file of a trained generator, the job trains one.
        step = wildcards | {"tasks": dataset, "steps": "5", "order": "0", "step": "0"}
        assert cost.of_job(config, "continual_memory", step) == work[kind].part(0.2)
    # A forward and two backward passes; GMMN also computes all pairs of a class.
    encoded = counted_by_hooks(vae.Encoder(info, 128, 64), image, label)
    assert work["vae"].multiply_adds == pytest.approx(100000 * 128 * 3 * (forward["vae"] + encoded), rel=0.1)
    pairs = 3 * 100**2 * 10 * image.numel()
    expected = 40000 * (1000 * 3 * forward["gmmn"] + pairs)
    assert work["gmmn"].multiply_adds == pytest.approx(expected, rel=0.1)
    judged = counted_by_hooks(Discriminator(info, 256), image, label)
    judging, improving = forward["biggan"] + 3 * 2 * judged, 3 * (forward["biggan"] + judged)
    assert work["biggan"].steps == 250000 * 5
    expected = 250000 * 50 * (4 * judging + improving)
    assert work["biggan"].multiply_adds == pytest.approx(expected, rel=0.1)


def test_selecting_without_a_network_is_no_work(config: Config) -> None:
    assert cost.of_job(config, "condense", coordinates("cifar10", "random", 50)).multiply_adds == 0
    assert cost.of_job(config, "condense", coordinates("cifar10", "herding", 50)).multiply_adds > 0


def test_work_of_an_evaluation_is_that_of_its_networks(config: Config) -> None:
    wildcards = coordinates("cifar10", "dm", 10) | {"recipe": "dsa", "evaluation": "convnet"}
    image = work.multiply_adds(config, "cifar10", "convnet")
    amount = cost.of_job(config, "evaluate", wildcards)
    assert amount.multiply_adds == pytest.approx(20 * (1001 * 3 * 100 + 10000) * image)
    whole = cost.of_job(config, "evaluate_whole", wildcards | {"recipe": "whole"})
    assert whole.multiply_adds == pytest.approx((201 * 3 * 50000 + 10000) * image)


def test_parts_of_the_classes_are_all_of_the_work(config: Config) -> None:
    wildcards = coordinates("cifar100", "dm", 10)
    parts = [
        cost.of_job(config, "condense_classes", wildcards | {"shard": shard})
        for shard in ("0-29", "30-98", "99")
    ]
    together = cost.of_job(config, "condense", wildcards)
    assert sum(part.multiply_adds for part in parts) == pytest.approx(together.multiply_adds)
    assert {part.steps for part in parts} == {together.steps}


def test_work_of_a_search_is_that_of_average_networks(config: Config) -> None:
    average = statistics.mean(work.multiply_adds(config, "cifar10", name) for name in networks.search_space())
    # 24 networks in a job, 5 repeats, a forward and two backward passes, 5,000 images to validate with.
    for candidate, images, epochs, steps in (("dm/ipc50", 500, 201, 2), ("whole", 45000, 101, 180)):
        amount = cost.of_job(config, "search", {"dataset": "cifar10", "candidate": candidate})
        assert amount.multiply_adds == pytest.approx(24 * 5 * average * (3 * epochs * images + 5000))
        assert amount.steps == 24 * 5 * epochs * steps
    proxy = {"dataset": "cifar10", "method": "dm", "network": "convnet", "ipc": 50}
    assert cost.of_job(config, "condense_proxy", proxy) == cost.of_job(config, "condense", proxy)


def test_work_of_a_pool_is_that_of_its_networks(config: Config) -> None:
    image = work.multiply_adds(config, "cifar10", "convnet")
    amount = cost.of_job(config, "pool", {"dataset": "cifar10", "network": "convnet", "part": "3-of-50"})
    # 20 networks, 51 epochs of 45,000 images, 20 times 5,000 to test on.
    assert amount.multiply_adds == pytest.approx(20 * image * (51 * 3 * 45000 + 20 * 5000))
    assert amount.steps == 51 * 176
    drawn = cost.of_job(config, "condense", coordinates("cifar10", "dm-pool-30-40", 50))
    assert drawn == cost.of_job(config, "condense", coordinates("cifar10", "dm", 50))


def test_work_of_pairs_and_of_what_is_condensed_with_them(config: Config) -> None:
    image = work.multiply_adds(config, "cifar10", "convnet")
    amount = cost.of_job(config, "pairs", {"dataset": "cifar10", "network": "convnet", "part": "3-of-20"})
    # A network, 60 epochs of all images, and all images before and after.
    assert amount.multiply_adds == pytest.approx(image * 50000 * (60 * 3 + 2))
    assert amount.steps == 60 * 391
    dance, ncfm, m3d = (
        cost.of_job(config, "condense", coordinates("cifar10", name, 10)) for name in ("dance", "ncfm", "m3d")
    )
    # The work of M3D with the same real images, plus a forward and backward pass of 40 images per class.
    assert dance.multiply_adds - m3d.multiply_adds == pytest.approx(10000 * 10 * 40 * 2 * image)
    assert ncfm.multiply_adds == pytest.approx(20000 * 10 * (1024 + 2 * 40 + 2 * 40) * image)


def test_work_of_a_queue_is_that_of_its_networks_and_of_the_features(config: Config) -> None:
    image = work.multiply_adds(config, "cifar10", "convnet")
    idm = cost.of_job(config, "condense", coordinates("cifar10", "idm", 10))
    # Of 10 classes 256 real images, and 40 forwards and backwards; 2 networks with 10 batches of 256.
    assert idm.multiply_adds == pytest.approx(20000 * (10 * (256 + 2 * 40) + 3 * 2 * 10 * 256) * image)
    assert idm.steps == 20000 * 21


def test_work_of_experts_is_that_of_the_epochs_that_sets_look_at(config: Config) -> None:
    image = work.multiply_adds(config, "cifar10", "convnet")
    amount = cost.of_job(config, "experts", {"dataset": "cifar10", "network": "convnet", "part": "3-of-10"})
    # 10 networks, 40 - 1 + 2 epochs of 50,000 images.
    assert amount.multiply_adds == pytest.approx(10 * image * 41 * 3 * 50000)
    assert amount.steps == 41 * 196
    drawn = cost.of_job(config, "condense", coordinates("cifar100", "mtt", 50))
    # 80 steps of 125 images, forwards and again with their derivative.
    image = work.multiply_adds(config, "cifar100", "convnet")
    assert drawn.multiply_adds == pytest.approx(5000 * 80 * 125 * 12 * image)
    assert drawn.steps == 5000 * 80 * 2


def test_work_of_a_regression_on_features_is_that_of_its_images_and_of_a_step(config: Config) -> None:
    image = work.multiply_adds(config, "cifar10", "frepo-bn")
    coordinates_of = coordinates("cifar10", "frepo", 10) | {"network": "frepo-bn"}
    frepo = cost.of_job(config, "condense", coordinates_of)
    # 1,024 real images, 100 synthetic ones and their mirror images twice, and three times in training.
    assert frepo.multiply_adds == pytest.approx(500000 * (1024 + 2 * 200 + 3 * 100) * image)


def test_nothing_is_claimed_of_other_jobs(config: Config) -> None:
    assert cost.of_job(config, "prepare", {"dataset": "cifar10"}) is None


@given(
    st.floats(0, 0.1),
    st.floats(1e-13, 1e-9),
    st.lists(st.tuples(st.integers(1, 10**5), st.floats(1e11, 1e16)), min_size=3, max_size=6, unique=True),
)
def test_a_fit_finds_the_rate_behind_the_times(step: float, multiply_add: float, sizes: list) -> None:
    jobs = [Work("training", *size) for size in sizes]
    seconds = [step * job.steps + multiply_add * job.multiply_adds for job in jobs]
    rate = fit(list(zip(jobs, seconds, strict=True)))
    assert [rate.seconds(job) for job in jobs] == pytest.approx(seconds, rel=0.01)


def test_a_fit_needs_one_job_where_the_step_is_given() -> None:
    rate = fit([(Work("training", 100, 1e12), 3.0)], step=0.01)
    assert rate.seconds(Work("training", 100, 2e12)) == pytest.approx(1 + 2 * 2)


def test_measured_times_are_reproduced(config: Config) -> None:
    """Within the accuracy that a plan needs; exactly for published times, of which each kind has one."""
    for device, rates in cost.read_rates(RATES, config).items():
        for job in yaml.safe_load(RATES.read_text())[device]["jobs"]:
            seconds = rates.seconds(work_of(config, job)) - rates.start
            tolerance = 0.01 if device == "gpu" else 0.35
            assert seconds == pytest.approx(job["seconds"], rel=tolerance), job


def work_of(config: Config, job: dict) -> Work:
    """Return the work of a job of the file, under a protocol that sets its parameters."""
    kind, name = ("methods", job["method"]) if "method" in job else ("recipes", job["recipe"])
    spec = {"networks": 1, kind: {name: {"parameters": job.get("parameters", {})}}}
    changed = Config("paper", config.settings, config.datasets, config.methods, config.recipes, spec)
    wildcards = coordinates(job["dataset"], name, job["ipc"]) | {"recipe": name, "evaluation": "convnet"}
    if kind == "recipes":
        return cost.of_job(changed, "evaluate", wildcards)
    return cost.of_job(changed, "generator" if "generator" in changed.needs(name) else "condense", wildcards)


def test_times_of_gpus_are_the_published_ones() -> None:
    with (ROOT / "config/published/cost.csv").open() as file:
        published = {
            (r["dataset"], r["method"], r["ipc"], r["hardware"], r["minutes"]) for r in csv.DictReader(file)
        }
    for job in yaml.safe_load(RATES.read_text())["gpu"]["jobs"]:
        hardware, minutes = job["note"].partition(", ")[2], f"{job['seconds'] / 60:g}"
        assert (job["dataset"], job["method"], str(job["ipc"]), hardware, minutes) in published


def test_a_mistake_in_the_rates_is_one_line(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "rates.yaml"
    path.write_text("cpu: {device: a, source: b, start: 1, jobs: [{dataset: cifar10, seconds: 3}]}")
    with pytest.raises(CondenseryError, match=r"cpu\.jobs\[0\]"):
        cost.read_rates(path, config)
    path.write_text("cpu: {device: a, source: b, start: 1, jobs: [{dataset: nil, recipe: dsa, seconds: 3}]}")
    with pytest.raises(CondenseryError, match="unknown data set 'nil'"):
        cost.read_rates(path, config)
    job = "{dataset: cifar10, method: dm, ipc: 1, parameters: {%s}, seconds: 3}"
    for parameters, says in (("iteration: 3", "unknown key 'iteration'"), ("batch_real: 0", "at least 1")):
        path.write_text(f"cpu: {{device: a, source: b, start: 1, jobs: [{job % parameters}]}}")
        with pytest.raises(CondenseryError, match=rf"cpu\.jobs\[0\]\.parameters.*{says}"):
            cost.read_rates(path, config)


def coordinates(dataset: str, method: str, ipc: int) -> dict[str, str]:
    return {"dataset": dataset, "method": method, "network": "convnet", "ipc": str(ipc)}


def test_a_slower_machine_takes_longer_in_proportion(config: Config) -> None:
    rates = cost.read_rates(RATES, config)["cpu"]
    slowdown = cost.Speed(rates.speed.product / 2, rates.speed.convolution / 60).slowdown(rates.speed)
    assert slowdown == pytest.approx(60)  # the worse of the two
    job = {"dataset": "cifar10", "method": "dm", "network": "convnet", "ipc": 10}
    work = cost.of_job(config, "condense", job)
    there, slowed = (r.seconds(work) - r.start for r in (rates, rates.slowed(slowdown)))
    assert slowed == pytest.approx(60 * there)


def test_time_limits_allow_for_the_slowest_device(config: Config) -> None:
    rates = cost.read_rates(RATES, config)
    job = {"dataset": "cifar10", "method": "dm", "network": "convnet", "ipc": 10}
    work = cost.of_job(config, "condense", job)
    cpu, fp32, bf16 = (
        r.seconds(work)
        for r in (rates["cpu"], rates["cpu"].for_limits("fp32"), rates["cpu"].for_limits("bf16"))
    )
    # A core with AVX2 convolves at 50 GFLOP/s in fp32 and at 2 in bfloat16: limits must allow for that.
    assert fp32 > cpu * 171 / 50
    assert bf16 > cpu * 171 / 2
    assert rates["gpu"].for_limits("fp32") == rates["gpu"]


def test_the_speed_of_a_core_is_that_of_its_operations() -> None:
    """A product of n x n matrices takes 2 n^3 operations: at twice the side, the rate is about the same."""
    rate = speed.product_rate(torch.float32)
    a = torch.ones(1024, 1024)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    times = []
    for _ in range(5):
        started = time.thread_time()
        a @ a
        times.append(time.thread_time() - started)
    plain = 2 * 1024**3 / min(times)  # others disturb some calls
    torch.set_num_threads(threads)
    assert plain / 4 < rate < plain * 4


def test_a_method_that_says_nothing_of_its_work_is_planned_without(config: Config) -> None:
    parameters = {"iterations": 3, "epochs": 2, "lr_inner": 0.1, "outer_loop": 4, "batch_real": 8}
    mine = {"title": "Mine", "reference": "here", "independent_classes": True, "recipes": ["dsa"]}
    methods = config.methods | {"mine": mine | {"parameters": parameters}}
    changed = dataclasses.replace(config, methods=methods)
    assert cost.of_job(changed, "condense", coordinates("cifar10", "mine", 10)) is None
    assert (
        cost.of_job(changed, "condense_classes", coordinates("cifar10", "mine", 10) | {"shard": "0"}) is None
    )
    # The entry's key `work` decides, whatever the names of its parameters.
    methods["mine"] = mine | {"parameters": parameters, "work": "features"}
    amount = cost.of_job(changed, "condense", coordinates("cifar10", "mine", 10))
    assert (amount.kind, amount.steps) == ("features", 3)


def test_every_formula_has_the_parameters_that_it_reads_in_the_schema() -> None:
    assert set(schema("parameters")["$defs"]["work"]) == set(FORMULAS)


def test_networks_are_trained_on_all_images_that_an_image_holds(config: Config) -> None:
    def amount(method: str, ipc: int) -> Work:
        wildcards = coordinates("cifar10", method, ipc) | {"recipe": "dsa", "evaluation": "convnet"}
        return cost.of_job(config, "evaluate", wildcards)

    assert amount("random-2x2", 10) == amount("random", 40)
    assert amount("m3d", 10) == amount("random-2x2", 10)
    for names in (("m3d-whole", "m3d"), ("idc-i", "idc")):
        whole, parts = (cost.of_job(config, "condense", coordinates("cifar10", name, 10)) for name in names)
        assert whole.multiply_adds < parts.multiply_adds < 2 * whole.multiply_adds


def test_the_work_of_idc_is_that_of_its_two_loops(config: Config) -> None:
    """10 x (64 x 3F + 40 x 9F) + 2,048 x 3F a step; F is a forward pass, 50.7 million multiply-adds."""
    amount = cost.of_job(config, "condense", coordinates("cifar10", "idc", 10))
    step = (10 * (64 * 3 + 40 * 9) + 2048 * 3) * 50.7e6
    assert amount.multiply_adds == pytest.approx(200_000 * step, rel=0.02)
    assert amount.steps == 2000 * (100 + 99 * 32)


def test_epochs_are_those_that_the_schedule_of_a_recipe_runs(config: Config) -> None:
    """One more than stated, as in the authors' public code (DM section 3.1), but exactly 2,000 for NCFM."""
    epochs = [work.epochs_of(config.recipe(name, "cifar10", 10)) for name in ("dsa", "ncfm")]
    assert epochs == [1001, 2000]
