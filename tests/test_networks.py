"""Networks: outputs against plain versions, parameter counts against formulas, names, initial values."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from condensery import networks
from condensery.architectures import FAMILIES, Family
from condensery.errors import CondenseryError
from condensery.networks import Network
from tests.reference import networks as plain

NAMES = [
    *("convnet", "convnet-d1", "convnet-d4", "convnet-bn", "convnet-nopool", "mlp", "lenet"),
    *("frepo", "frepo-bn", "alexnet", "alexnet-in", "alexnet-bn", "vgg11", "vgg11-bn"),
    *("resnet18", "resnet18-bn", "resnet18ap", "resnet18ap-bn"),
]
GRAY, RGB = (1, (28, 28)), (3, (32, 32))


def meta(name, channels=3, size=(32, 32), classes=10):
    with torch.device("meta"):
        return networks.build(name, channels=channels, size=size, classes=classes)


def count(net):
    return sum(p.numel() for p in net.parameters())


def conv(inputs, outputs, kernel, bias=True):
    return outputs * (inputs * kernel**2 + bias)


def convnet_count(channels, depth, width, norm, pooling, classes):
    """Count by the formula for images of 32 x 32."""
    total, side = 0, 32
    for block in range(depth):
        total += conv(width if block else channels, width, 3)
        total += {"nonorm": 0, "ln": 2 * width * side**2}.get(norm, 2 * width)
        side = side if pooling == "nopool" else side // 2
    return total + (width * side**2 + 1) * classes, width * side**2


# Every member of the search space, in one test per depth.
@pytest.mark.parametrize(
    "depth", [1, 2, pytest.param(3, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
def test_search_space_has_the_parameters_and_shapes_of_the_formula(depth):
    members = set(networks.search_space())
    images = torch.empty(2, 3, 32, 32, device="meta")
    for width, activation, norm, pooling in itertools.product(
        (32, 64, 128, 256),
        ("sigmoid", "relu", "leakyrelu"),
        ("nonorm", "bn", "ln", "in", "gn"),
        ("nopool", "max", "avg"),
    ):
        name = f"convnet-d{depth}-w{width}-{activation}-{norm}-{pooling}"
        net = meta(name)
        expected, features = convnet_count(3, depth, width, norm, pooling, 10)
        assert count(net) == expected, name
        assert net.features == features, name
        embedding = net.embed(images)
        assert embedding.shape == (2, features), name
        assert net.classifier(embedding).shape == (2, 10), name
        assert networks.canonical(name) in members, name


def test_search_space_has_720_different_canonical_names():
    names = networks.search_space()
    assert len(names) == len(set(names)) == 4 * 4 * 3 * 5 * 3
    assert [networks.canonical(name) for name in names] == names


def test_the_default_convnet_is_the_one_of_the_papers():
    net = meta("convnet")
    assert (count(net), net.features) == (320_010, 2048)
    assert meta("convnet", *GRAY).features == 2048
    assert meta("convnet-d4", 3, (64, 64)).features == 2048


def alexnet_count(channels, features, norm):
    convs = conv(channels, 128, 5) + conv(128, 192, 5)
    convs += conv(192, 256, 3) + conv(256, 192, 3) + conv(192, 192, 3)
    return convs + norm * 2 * (128 + 192 + 256 + 192 + 192) + (features + 1) * 10


def vgg11_count(channels, features):
    widths = [channels, 64, 128, 256, 256, 512, 512, 512, 512]
    return sum(conv(a, b, 3) + 2 * b for a, b in itertools.pairwise(widths)) + (features + 1) * 10


def resnet18_count(channels, features):
    total, inputs = conv(channels, 64, 3, bias=False) + 2 * 64, 64
    for width in (64, 128, 256, 512):
        total += conv(inputs, width, 3, bias=False) + 3 * conv(width, width, 3, bias=False) + 4 * 2 * width
        if inputs != width:
            total += conv(inputs, width, 1, bias=False) + 2 * width
        inputs = width
    return total + (features + 1) * 10


def lenet_count(channels, maps):
    linear = (maps * 16 + 1) * 120 + 121 * 84 + 85 * 10
    return conv(channels, 6, 5) + conv(6, 16, 5) + linear


# The sides of the last maps at 8, 16, 28 (gray), 32 and 64 pixels, by hand.
SIDES = {
    "alexnet": (1, 2, 4, 4, 8),
    "vgg11": (1, 1, 1, 1, 2),
    "resnet18ap": (2, 2, 3, 4, 8),
    "lenet": (2, 2, 5, 5, 13),
}
SHAPES = [(3, 8), (1, 16), (1, 28), (3, 32), (3, 64)]


@pytest.mark.parametrize(("at", "channels", "side"), [(i, *shape) for i, shape in enumerate(SHAPES)])
def test_other_families_have_the_parameters_of_their_formulas(at, channels, side):
    def built(name, features):
        net = meta(name, channels, (side, side))
        assert net.features == features, name
        assert net.embed(torch.empty(2, channels, side, side, device="meta")).shape == (2, features), name
        assert net(torch.empty(2, channels, side, side, device="meta")).shape == (2, 10), name
        return count(net)

    area = {family: sides[at] ** 2 for family, sides in SIDES.items()}
    features = 192 * area["alexnet"]
    assert built("alexnet", features) == alexnet_count(channels, features, norm=0)
    for kind in ("-in", "-bn"):
        assert built("alexnet" + kind, features) == alexnet_count(channels, features, norm=1)
    for kind in ("", "-bn"):
        features = 512 * area["vgg11"]
        assert built("vgg11" + kind, features) == vgg11_count(channels, features)
        assert built("resnet18" + kind, 512) == resnet18_count(channels, 512)
        features = 512 * area["resnet18ap"]
        assert built("resnet18ap" + kind, features) == resnet18_count(channels, features)
    assert built("mlp", 128) == (channels * side**2 + 1) * 128 + 129 * 128 + 129 * 10
    assert built("lenet", 84) == lenet_count(channels, area["lenet"])


@pytest.mark.parametrize("name", NAMES)
def test_shapes_hold_from_8_to_64_pixels_and_for_oblong_images(name):
    sides = (8, 9, 11, 12, 15, 16, 23, 28, 33, 64)
    for channels, size in [*((1 + 2 * (n % 2), (n, n)) for n in sides), (3, (8, 40)), (1, (28, 32))]:
        net = meta(name, channels, size, classes=7)
        images = torch.empty(2, channels, *size, device="meta")
        assert net.embed(images).shape == (2, net.features)
        assert net(images).shape == (2, 7)


@pytest.mark.parametrize("name", NAMES)
def test_features_at_8_pixels_depend_on_the_image(name):
    """Instance norm over a single pixel would make them constant."""
    net = networks.initialize(
        networks.build(name, channels=1, size=(8, 8), classes=10), torch.Generator().manual_seed(0)
    )
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    first, second, *_ = net.embed(images)
    assert (first - second).abs().max() > 1e-3


def shaken(name, channels, size):
    """Build a network in float64 whose norms are not the identity."""
    net = networks.build(name, channels=channels, size=size, classes=10).double()
    generator = torch.Generator().manual_seed(5)
    networks.initialize(net, generator)
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.dim() in (1, 3):  # biases, and the weights of norms
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    images = torch.randn(2, channels, *size, generator=generator, dtype=torch.float64)
    return net, images, iter(net.parameters()).__next__


def agree(net, images, embedding, take):
    torch.testing.assert_close(net.embed(images), embedding, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(net(images), plain.linear(embedding, take), rtol=1e-9, atol=1e-9)
    with pytest.raises(StopIteration):  # every parameter was used
        take()


@settings(max_examples=40)
@given(
    st.integers(1, 4),
    st.sampled_from(["sigmoid", "relu", "leakyrelu", "swish"]),
    st.sampled_from(["in", "bn", "ln", "gn", "nonorm"]),
    st.sampled_from(["avg", "max", "nopool"]),
    st.sampled_from([GRAY, RGB]),
)
def test_convnet_equals_the_plain_arithmetic(depth, activation, norm, pooling, shape):
    channels, size = shape
    net, images, take = shaken(f"convnet-d{depth}-w8-{activation}-{norm}-{pooling}", channels, size)
    kinds = {"activation": activation, "norm": norm, "pooling": pooling}
    padding = 3 if channels == 1 else 1
    agree(net, images, plain.sequence(images, take, [(3, True)] * depth, padding=padding, **kinds), take)


@pytest.mark.parametrize(("norm", "channels", "size"), [("in", *RGB), ("bn", *GRAY)])
def test_deep_families_equal_the_plain_arithmetic(norm, channels, size):
    suffix = "-bn" if norm == "bn" else ""
    wider = 2 if channels == 1 else 0
    net, images, take = shaken(f"alexnet-{norm}", channels, size)
    layers = [(5, True), (5, True), (3, False), (3, False), (3, True)]
    agree(net, images, plain.sequence(images, take, layers, padding=2 + wider, norm=norm), take)
    net, images, take = shaken("vgg11" + suffix, channels, size)
    layers = [(3, pooled) for pooled in (True, True, False, True, False, True, False, True)]
    agree(net, images, plain.sequence(images, take, layers, padding=1 + wider, norm=norm), take)
    for family in ("resnet18", "resnet18ap"):
        net, images, take = shaken(family + suffix, channels, size)
        agree(net, images, plain.resnet18(images, take, norm=norm, average_pooling="ap" in family), take)


@pytest.mark.parametrize(("channels", "size"), [GRAY, RGB])
def test_frepo_doubles_its_channels_and_normalizes_before_convolutions(channels, size):
    for norm in ("nonorm", "bn"):
        net, images, take = shaken(f"frepo-w8-{norm}", channels, size)
        hidden = images
        for block in range(3):
            if block:
                hidden = plain.normalize(hidden, norm, take)
            padding = 3 if channels == 1 and not block else 1
            hidden = torch.relu(torch.conv2d(hidden, take(), take(), padding=padding))
            hidden = plain.pool(hidden, "avg")
        assert hidden.shape[1:] == (32, 4, 4)
        agree(net, images, hidden.flatten(1), take)
    # 128, 256 and 512 channels: 1.56 million parameters on RGB images of 32 x 32 with 10 classes.
    assert count(meta("frepo")) == conv(3, 128, 3) + conv(128, 256, 3) + conv(256, 512, 3) + 8193 * 10


@pytest.mark.parametrize("name", ["convnet-w8", "alexnet", "vgg11", "frepo-w8"])
@pytest.mark.parametrize("of_images", [False, True])
def test_the_first_convolution_of_gray_images_has_the_derivatives_of_a_plain_one(name, of_images):
    net, images, take = shaken(name, *GRAY)
    layer, weight, bias = net.body[0], take(), take()
    images.requires_grad_(of_images)
    wanted = [weight, bias, *([images] if of_images else [])]

    def derivatives(maps):
        first = torch.autograd.grad(maps.square().sum(), wanted, create_graph=True)
        return [*first, *torch.autograd.grad(sum(each.square().sum() for each in first), wanted)]

    plainly = torch.conv2d(images, weight, bias, padding=layer.kernel_size[0] // 2 + 2)
    torch.testing.assert_close(derivatives(layer(images)), derivatives(plainly))


@pytest.mark.parametrize("name", ["convnet-w8", "alexnet", "vgg11", "frepo-w8"])
def test_where_the_weights_are_trained_no_convolution_is_padded_by_more_than_half_its_kernel(name):
    """Their gradient would take several times as long on a CPU."""
    net, images, _ = shaken(name, *GRAY)
    seen = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func == torch.ops.aten.convolution.default:
                seen.append((args[1].shape[2:], args[4]))
            return func(*args, **(kwargs or {}))

    with Recorder():
        net(images)
    assert seen
    assert all(2 * pad <= side for kernel, padding in seen for side, pad in zip(kernel, padding, strict=True))


@pytest.mark.parametrize(("channels", "size"), [GRAY, RGB])
def test_small_families_equal_the_plain_arithmetic(channels, size):
    relu = plain.ACTIVATIONS["relu"]
    net, images, take = shaken("mlp", channels, size)
    agree(net, images, relu(plain.linear(relu(plain.linear(images.flatten(1), take)), take)), take)
    net, images, take = shaken("lenet", channels, size)
    hidden = images
    for padding in (2 if channels == 1 else 0, 0):
        hidden = plain.pool(relu(torch.conv2d(hidden, take(), take(), padding=padding)), "max")
    agree(net, images, relu(plain.linear(relu(plain.linear(hidden.flatten(1), take)), take)), take)
    net, images, take = shaken("alexnet", channels, size)
    layers = [(5, True), (5, True), (3, False), (3, False), (3, True)]
    padding = 4 if channels == 1 else 2
    agree(net, images, plain.sequence(images, take, layers, padding=padding, norm="nonorm"), take)


def test_activations_counts_what_every_layer_gives():
    net = networks.build("convnet-d1-w4-in-avg", channels=1, size=(8, 8), classes=3)
    # convolution, norm and activation of 8 x 8, pooling to 4 x 4, the logits
    assert networks.activations(net, 1, (8, 8)) == 3 * 4 * 64 + 4 * 16 + 3


@pytest.mark.parametrize("name", NAMES)
def test_mixes_images_says_whether_features_depend_on_the_batch(name):
    net = networks.build(name, channels=3, size=(16, 16), classes=3).double()
    images = torch.randn(4, 3, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alone, together = net.embed(images[:2]), net.embed(images)[:2]
    assert networks.mixes_images(net) != torch.allclose(alone, together)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("convnet-d3-w128-relu-in-avg", "convnet"),
        ("convnet-max-d2", "convnet-d2-max"),
        ("convnet-swish-bn", "convnet-swish-bn"),
        ("convnet-gn", "convnet-gn"),
        ("alexnet-bn", "alexnet-bn"),
        ("alexnet-nonorm", "alexnet"),
        ("vgg11-in", "vgg11"),
        ("resnet18ap-bn", "resnet18ap-bn"),
        ("mlp", "mlp"),
    ],
)
def test_names_have_one_canonical_form(name, canonical):
    assert networks.canonical(name) == canonical
    assert str(meta(name)) == str(meta(canonical))


@pytest.mark.parametrize(
    ("builder", "options", "message"),
    [
        # Batch norm that no option states, and an entry that states it for a network without.
        ("tests.test_networks:batch_normed", {}, "states no batch norm, but the network built has it"),
        ("condensery.networks.mlp:mlp", {"batch_norm": True}, "states that it has batch norm"),
    ],
)
def test_a_family_that_is_wrong_about_batch_norm_is_refused(builder, options, message, monkeypatch):
    monkeypatch.setitem(FAMILIES, "mine", Family(builder, **options))
    with pytest.raises(CondenseryError, match=message):
        meta("mine")


def batch_normed(channels, size, classes):
    return Network(nn.Sequential(nn.BatchNorm2d(channels), nn.Flatten()), channels * math.prod(size), classes)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("resnet50", "resnet50"),
        ("", "unknown network"),
        ("ConvNet", "ConvNet"),
        ("convnet-d0", "'d0'"),
        ("convnet-", "''"),
        ("convnet-wide", "'wide'"),
        ("convnet-in-bn", "norm twice"),
        ("mlp-bn", "'bn'"),
        ("vgg11-max", "'max'"),
        ("convnet-w6-gn", "width 6"),
    ],
)
def test_a_wrong_name_is_refused_in_one_line(name, word):
    with pytest.raises(CondenseryError) as refused:
        meta(name)
    assert word in str(refused.value)
    assert "\n" not in str(refused.value)


def test_images_under_8_pixels_are_refused():
    with pytest.raises(CondenseryError, match="7x8"):
        meta("convnet", 3, (7, 8))


def initialized(name="convnet-bn", seed=7):
    net = networks.build(name, channels=3, size=(16, 16), classes=10)
    return networks.initialize(net, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["convnet", "convnet-d2-ln", "lenet", "mlp", "vgg11-bn"])
def test_initial_values_are_uniform_in_the_bounds_of_pytorch(name):
    checked = 0
    for module in initialized(name).modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            linear = isinstance(module, nn.Linear)
            fan_in = module.in_features if linear else module.in_channels * module.kernel_size[0] ** 2
            values = torch.cat([module.weight.flatten(), module.bias]) * math.sqrt(fan_in)
            n = values.numel()
            assert values.abs().max() <= 1 + 1e-6
            assert values.abs().max() > 1 - 20 / n
            # Standard errors of the mean and of the mean square of a uniform variable on [-1, 1].
            assert values.mean().abs() < 5 * math.sqrt(1 / 3 / n)
            assert (values.square().mean() - 1 / 3).abs() < 5 * math.sqrt(4 / 45 / n)
            checked += 1
        elif list(module.parameters(recurse=False)):
            assert bool((module.weight == 1).all())
            assert bool((module.bias == 0).all())
    assert checked >= 3


def test_initial_values_of_frepo_have_the_variance_of_lecun_and_no_biases():
    for module in initialized("frepo-d2-w32").modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            n, fan_in = module.weight.numel(), module.weight[0].numel()
            assert (module.weight.square().mean() * fan_in - 1).abs() < 5 * math.sqrt(4 / 5 / n)
            assert module.weight.mean().abs() < 5 / math.sqrt(fan_in * n)
            assert bool((module.bias == 0).all())


def test_initial_values_follow_the_distribution_of_a_network_that_pytorch_has_just_built():
    torch.manual_seed(0)
    fresh = networks.build("convnet-d2", channels=3, size=(16, 16), classes=10).state_dict()
    for key, ours in initialized("convnet-d2").state_dict().items():
        if ours.numel() > 1000:
            ours, theirs = ours.flatten().sort().values, fresh[key].flatten().sort().values
            assert (ours - theirs).abs().max() < 0.1 * theirs.max(), key


def test_initial_values_depend_on_the_generator_only():
    torch.manual_seed(1)
    first, state = initialized(), torch.get_rng_state()
    networks.initialize(first, torch.Generator().manual_seed(7))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second = initialized()
    second(torch.randn(8, 3, 16, 16))  # running statistics move
    with torch.no_grad():
        for parameter in second.parameters():
            parameter.mul_(3)
    second = networks.initialize(
        second.to(memory_format=torch.channels_last), torch.Generator().manual_seed(7)
    )
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key]), key
    other = initialized(seed=8)
    assert not torch.equal(first.classifier.bias, other.classifier.bias)
    assert not torch.equal(first.body[0].weight, other.body[0].weight)


def test_a_parameter_of_unknown_kind_is_refused():
    net = Network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.PReLU()), 4 * 36, 2)
    with pytest.raises(TypeError, match="PReLU"):
        networks.initialize(net, torch.Generator())
