"""The configuration: strict reading, and the values of the papers after resolution."""

from __future__ import annotations

import shutil
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from condensery import methods, networks
from condensery.augmentation.siamese import FAMILIES
from condensery.data.kinds import KINDS
from condensery.errors import CondenseryError
from condensery.experiment import Config, SetId, catalog, load_config, plans
from condensery.experiment.groups import GROUPS
from condensery.experiment.reading import read
from condensery.experiment.schemas import check, schema
from condensery.methods.sampling import Sampling

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config"
CONFIG = Path("config")


@pytest.fixture(scope="module")
def paper() -> Config:
    return load_config(CONFIG, "paper")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(CONFIG, tmp_path / "config")


def edit(path: Path, keys: tuple[str | int, ...], value: Any) -> None:
    """Set one value of a YAML file; ``...`` removes its key."""
    content = yaml.safe_load(path.read_text())
    node = content
    for key in keys[:-1]:
        node = node[key]
    if value is ...:
        del node[keys[-1]]
    else:
        node[keys[-1]] = value
    path.write_text(yaml.safe_dump(content))


def small(**changes: Any) -> dict[str, Any]:
    """Return a protocol with one block of each kind; ``changes`` replaces its keys."""
    block = {"datasets": ["digits"], "methods": ["dm"], "ipc": [1]}
    whole = {"description": "small", "sets": 1, "networks": 1, "whole_networks": 1}
    return whole | {"targets": {"table1": [block], "figure2": [block]}} | changes


def load_small(folder: Path, **changes: Any) -> Config:
    (folder / "protocols" / "small.yaml").write_text(yaml.safe_dump(small(**changes)))
    return load_config(folder, "small")


def refusal(folder: Path, protocol: str = "smoke") -> str:
    with pytest.raises(CondenseryError) as caught:
        load_config(folder, protocol)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ---- what the papers state


@pytest.mark.parametrize(
    ("dataset", "network", "ipc", "expected"),
    [
        ("mnist", "convnet", 1, {"iterations": 20000, "lr_img": 1.0}),
        ("cifar10", "convnet", 50, {"iterations": 20000, "lr_img": 1.0}),
        ("cifar10", "convnet", 100, {"iterations": 20000, "lr_img": 10.0}),
        ("cifar10", "convnet", 1250, {"iterations": 20000, "lr_img": 10.0}),
        ("cifar100", "convnet", 100, {"iterations": 20000, "lr_img": 1.0}),
        ("tinyimagenet", "convnet-d4", 10, {"iterations": 10000, "lr_img": 1.0}),
        ("imagenet1k", "convnet-d4", 1, {"iterations": 10000, "lr_img": 1.0}),
    ],
)
def test_dm_has_the_published_values(
    paper: Config, dataset: str, network: str, ipc: int, expected: dict[str, float]
) -> None:
    common = {"momentum": 0.5, "batch_real": 256, "init": "real"}
    assert paper.network(dataset) == network
    assert paper.parameters(dataset, "dm", network, ipc) == common | expected


def test_evaluation_has_the_published_values(paper: Config) -> None:
    common = {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.0005, "batch": 256}
    full = "color_crop_cutout_flip_scale_rotate"
    assert paper.recipe("dsa", "cifar10") == {"name": "dsa", "epochs": 1000, "augmentation": full} | common
    assert paper.recipe("dc", "cifar10") == {"name": "dc", "epochs": 300, "augmentation": "none"} | common
    for dataset, network, augmentation in (
        ("mnist", "lenet", "dc_crop_scale_rotate"),
        ("mnist", "convnet-bn", "dc_crop_noise"),
        ("cifar10", "convnet-bn", "dc_crop_noise"),
    ):
        augmented = {"name": "dc", "epochs": 1000, "augmentation": augmentation}
        assert paper.recipe("dc", dataset, 10, network) == augmented | common
    assert (paper.spec["sets"], paper.spec["networks"]) == (5, 20)


def test_digits_and_numbers_are_not_flipped(paper: Config) -> None:
    flipped = {name for name in paper.datasets if "flip" in paper.augmentation(name).split("_")}
    assert {"mnist", "svhn", "digits", "usps"}.isdisjoint(flipped)
    assert {"fashionmnist", "cifar10", "cifar100", "tinyimagenet"} <= flipped


def test_coresets_are_evaluated_with_both_recipes(paper: Config) -> None:
    recipes = {name: e["recipes"] for name, e in paper.methods.items() if "variant_of" not in e}
    assert recipes.pop("dm") == recipes.pop("dm-pool") == recipes.pop("dsa") == ["dsa"]
    assert recipes.pop("mtt") == ["mtt", "dsa"]
    assert recipes.pop("kip") == ["ridge", "dc", "dsa"]
    assert recipes.pop("frepo") == ["frepo", "dsa"]
    assert recipes.pop("gtn") == ["learned", "dsa"]
    assert recipes.pop("idc") == ["idc", "dsa"]
    assert recipes.pop("datadam") == recipes.pop("idm") == ["dsa"]
    assert recipes.pop("m3d") == recipes.pop("dance") == ["dsa", "dance"]
    assert recipes.pop("ncfm") == ["dsa", "ncfm"]
    assert recipes.pop("dc") == recipes.pop("dcc") == ["dc"]
    assert (recipes.pop("dd"), recipes.pop("ld")) == (["learned", "dc"], ["plain", "dc"])
    assert set(map(tuple, recipes.values())) == {("dc", "dsa")}


def test_lowered_protocols_keep_what_they_do_not_name(paper: Config) -> None:
    for protocol in ("laptop", "smoke"):
        config = load_config(CONFIG, protocol)
        lowered = config.parameters("cifar10", "dm", "convnet", 1000)
        assert lowered["iterations"] < 20000
        assert (lowered["lr_img"], lowered["momentum"]) == (10.0, 0.5)
        assert config.recipe("dsa", "cifar10")["lr"] == paper.recipe("dsa", "cifar10")["lr"]


# ---- resolution and targets


def test_the_later_value_wins(folder: Path) -> None:
    when = {"dataset": ["digits"], "ipc": [10]}
    lowered = {
        "parameters": {"iterations": 7, "batch_real": 8},
        "overrides": [{"when": when, "set": {"batch_real": 9}}],
    }
    edit(
        folder / "methods.yaml",
        ("dm", "overrides"),
        [
            {"when": {"dataset": ["digits"]}, "set": {"iterations": 5, "lr_img": 2.0}},
            {"when": when, "set": {"lr_img": 3.0}},
        ],
    )
    config = load_small(folder, methods={"dm": lowered})
    wanted = {"momentum": 0.5, "init": "real", "iterations": 7}
    assert config.parameters("digits", "dm", "convnet", 10) == wanted | {"lr_img": 3.0, "batch_real": 9}
    assert config.parameters("digits", "dm", "convnet", 1) == wanted | {"lr_img": 2.0, "batch_real": 8}
    assert config.parameters("mnist", "dm", "convnet", 10) == wanted | {"lr_img": 1.0, "batch_real": 8}


def test_every_target_can_be_listed() -> None:
    sections = schema("protocol")["properties"]
    for name, target in catalog.TARGETS.items():
        assert not target.entry or name in sections[target.section]["properties"]
        assert target.section in sections


def test_table1_of_the_papers_has_every_cell(paper: Config) -> None:
    sets, evaluations = paper.target_sets("table1"), paper.target_evaluations("table1")
    # DD has two cells, LD three on each of two data sets and one on CIFAR-100, as printed.
    unrolled = [s for s in sets if s.method in ("dd", "ld")]
    assert sorted({s[:4] for s in unrolled}) == sorted(
        [("mnist", "dd", "lenet", 10), ("cifar10", "dd", "alexnet", 10), ("cifar100", "ld", "alexnet", 1)]
        + [
            cell
            for k in (1, 10, 50)
            for cell in (("mnist", "ld", "lenet", k), ("cifar10", "ld", "alexnet", k))
        ]
    )
    # Data sets, methods, ipc, seeds; DC and DSA on all data sets but TinyImageNet.
    others = 6 * 5 * 3 * 5 + 5 * 2 * 3 * 5
    assert len(set(sets)) == len(sets) == others + 9 * 5
    # Coresets, DD and LD twice, DM, DC and DSA once.
    once = 6 * 3 * 5 * (4 * 2 + 1) + 5 * 3 * 5 * 2
    assert len(set(evaluations)) == len(evaluations) == once + 2 * 9 * 5
    assert {s.network for s in sets if s.dataset == "tinyimagenet"} == {"convnet-d4"}
    assert {s.network for s in {*sets} - {*unrolled} if s.dataset != "tinyimagenet"} == {"convnet"}
    whole_set = paper.whole_evaluations("table1")
    assert len(set(whole_set)) == 6 * 2 * 5
    assert {w.recipe for w in whole_set} == {"whole", "whole_plain"}


@pytest.mark.parametrize("protocol", ["paper", "laptop", "few"])
def test_every_later_method_stands_beside_random_images_of_its_formation(protocol: str) -> None:
    config = load_config(CONFIG, protocol)
    cells: dict[bool, set[tuple[Any, ...]]] = {True: set(), False: set()}
    places: dict[tuple[Any, ...], str] = {}
    for made, recipe, network in config.target_evaluations("table_methods"):
        formation = config.parameters(made.dataset, made.method, made.network, made.ipc).get("formation", 1)
        line = made.dataset, made.ipc, recipe, network
        cells[made.method in ("random", "random-2x2")].add((*line, formation))
        # A line and a column of the table hold one cell.
        assert places.setdefault((*line, made.method), made.network) == made.network
    assert cells[False] <= cells[True]


def test_blocks_that_overlap_count_once(folder: Path) -> None:
    blocks = [
        {"datasets": ["digits"], "methods": ["dm", "whole"], "ipc": [1, 10]},
        {"datasets": ["digits"], "methods": ["random", "dm", "whole"], "ipc": [10]},
        {"datasets": ["digits"], "methods": ["dm"], "ipc": [10], "networks": ["convnet-bn"], "sets": 1},
    ]
    config = load_small(folder, sets=2, targets={"table1": blocks, "figure2": blocks[2:]})
    coordinates = [(s.method, s.network, s.ipc, s.seed) for s in config.target_sets("table1")]
    assert sorted(coordinates) == sorted(
        [("dm", "convnet", ipc, seed) for ipc in (1, 10) for seed in (0, 1)]
        + [("random", "convnet", 10, seed) for seed in (0, 1)]
        + [("dm", "convnet-bn", 10, 0)]
    )
    assert len(config.whole_evaluations("table1")) == 1
    assert len(config.target_sets("figure2")) == 1
    assert set(config.networks()) == {"convnet", "convnet-d4", "convnet-bn"}


def test_a_block_crosses_condensing_with_evaluation_networks(folder: Path) -> None:
    block = {"datasets": ["digits"], "methods": ["dm", "whole"], "ipc": [1], "recipes": ["dsa"]}
    crossed = block | {"networks": ["mlp", "convnet"], "evaluate": ["lenet", "mlp", "vgg11"]}
    config = load_small(folder, targets={"table1": [crossed], "figure2": [block | {"methods": ["dm"]}]})
    pairs = [(e.set.network, e.network) for e in config.target_evaluations("table1")]
    assert pairs == [(c, e) for c in ("mlp", "convnet") for e in ("lenet", "mlp", "vgg11")]
    assert [s.network for s in config.target_sets("table1")] == ["mlp", "convnet"]
    assert [w.network for w in config.whole_evaluations("table1")] == ["lenet", "mlp", "vgg11"]
    assert config.networks() == ["convnet", "convnet-d4", "lenet", "mlp", "vgg11"]


def test_without_evaluation_networks_each_set_is_evaluated_on_its_own(folder: Path) -> None:
    blocks = [{"datasets": ["digits"], "methods": ["dm", "whole"], "ipc": [1], "networks": ["mlp", "lenet"]}]
    config = load_small(folder, targets={"table1": blocks})
    assert {(e.set.network, e.network) for e in config.target_evaluations("table1")} == {
        ("mlp", "mlp"),
        ("lenet", "lenet"),
    }
    assert [w.network for w in config.whole_evaluations("table1")] == ["mlp", "lenet"]


def test_a_target_that_the_protocol_does_not_list_is_one_line(folder: Path) -> None:
    block = {"datasets": ["digits"], "methods": ["dm"], "ipc": [1]}
    config = load_small(folder, targets={"table1": [block]})
    with pytest.raises(CondenseryError, match=r"unknown target 'figure2'; .*protocols/small\.yaml"):
        config.target_sets("figure2")


# ---- variants


def test_dsa_ablations_differ_in_what_their_names_say(paper: Config) -> None:
    base = paper.parameters("cifar10", "dsa", "convnet", 10)
    for family in FAMILIES:
        name = f"dsa-{family}"
        assert paper.parameters("cifar10", name, "convnet", 10) == base | {"strategy": family}
        (recipe,) = paper.method(name)["recipes"]
        trained = paper.recipe(recipe, "cifar10")
        assert trained == paper.recipe("dsa", "cifar10") | {"name": recipe, "augmentation": family}
    for transform in ("independent", "real", "synthetic", "none"):
        changed = {"transform": transform}
        assert paper.parameters("cifar10", f"dsa-{transform}", "convnet", 10) == base | changed
    plain = paper.recipe("plain", "cifar10")
    assert (plain["epochs"], plain["augmentation"]) == (1000, "none")


def add_variants(folder: Path) -> None:
    edit(
        folder / "methods.yaml",
        ("slow",),
        {
            "variant_of": "dm",
            "title": "Slow DM",
            "parameters": {"iterations": 3},
            "overrides": [{"when": {"ipc": [10]}, "set": {"iterations": 4, "lr_img": 5.0}}],
        },
    )
    edit(
        folder / "recipes.yaml",
        ("cropped",),
        {"variant_of": "dsa", "title": "cropped", "parameters": {"augmentation": "crop_flip"}},
    )


def test_the_groups_of_networks_are_those_of_the_paper(paper: Config) -> None:
    known = schema("parameters")["$defs"]["methods"]["dm-pool"]["properties"]["network_group"]["enum"]
    assert tuple(known) == GROUPS
    values = paper.parameters("cifar10", "dm", "convnet", 50)
    for target, sizes in (("table4", 3), ("figure_distributions", 1)):
        sets = paper.target_sets(target)
        (first, *methods) = dict.fromkeys(s.method for s in sets)
        assert first == "dm"  # which is the group `random`
        groups = []
        for method in methods:
            changed = paper.parameters("cifar10", method, "convnet", 50)
            groups.append(changed.pop("network_group"))
            assert changed == values
        assert tuple(groups) == GROUPS[1:]
        assert len({s.ipc for s in sets}) == sizes
        assert [s for s in sets if "pool" not in paper.needs(s.method)] == [
            s for s in sets if s.method == "dm"
        ]
    assert (paper.pool.networks, len(paper.pool.parts())) == (1000, 50)


def test_a_variant_is_its_base_but_for_what_it_gives(folder: Path) -> None:
    add_variants(folder)
    config = load_small(folder)
    entry, base = config.method("slow"), config.method("dm")
    assert (config.implementation("slow"), config.implementation("dm")) == ("dm", "dm")
    assert entry["title"] == "Slow DM"
    for key in ("reference", "independent_classes", "recipes"):
        assert entry[key] == base[key]
    of_base = config.parameters("cifar10", "dm", "convnet", 100)
    assert of_base["lr_img"] == 10.0  # an override of the base holds for the variant
    assert config.parameters("cifar10", "slow", "convnet", 100) == of_base | {"iterations": 3}
    edit(folder / "methods.yaml", ("slow", "recipes"), ["dc"])
    assert [e.recipe for e in _of_slow(folder).target_evaluations("table1")] == ["dc"]


def _of_slow(folder: Path, **changes: Any) -> Config:
    block = {"datasets": ["digits"], "methods": ["slow"], "ipc": [1]}
    return load_small(folder, targets={"table1": [block]}, **changes)


def test_a_variant_wins_over_what_the_protocol_sets_for_its_base(folder: Path) -> None:
    add_variants(folder)
    lowered = {"parameters": {"iterations": 7, "batch_real": 8, "lr_img": 2.0}}
    later = {
        "parameters": {"batch_real": 6},
        "overrides": [{"when": {"ipc": [50]}, "set": {"batch_real": 5}}],
    }
    config = _of_slow(folder, methods={"dm": lowered, "slow": later})

    def resolved(ipc: int) -> tuple[int, int, float]:
        values = config.parameters("digits", "slow", "convnet", ipc)
        return values["iterations"], values["batch_real"], values["lr_img"]

    assert resolved(1) == (3, 6, 2.0)
    assert resolved(10) == (4, 6, 5.0)
    assert resolved(50) == (3, 5, 2.0)
    assert config.parameters("digits", "dm", "convnet", 10)["batch_real"] == 8


def test_a_variant_of_a_recipe_may_name_its_augmentation(folder: Path) -> None:
    add_variants(folder)
    config = load_small(folder, recipes={"dsa": {"parameters": {"epochs": 7}}})
    base = config.recipe("dsa", "digits")
    assert config.recipe("cropped", "digits") == base | {"name": "cropped", "augmentation": "crop_flip"}


@given(st.integers(1, 120))
def test_shards_cover_each_class_once_and_in_order(size: int) -> None:
    config = load_config(CONFIG, settings={"classes_per_job": size})
    covered = []
    for shard in config.shards("cifar100", "dm", "convnet"):
        first, _, last = shard.partition("-")
        part = list(range(int(first), int(last or first) + 1))
        assert len(part) <= size
        covered += part
    assert covered == list(range(100))


def test_classes_that_depend_on_each_other_are_not_split(folder: Path) -> None:
    edit(folder / "methods.yaml", ("herding", "independent_classes"), False)
    config = load_config(folder, settings={"classes_per_job": 3})
    assert config.shards("digits", "dm", "convnet") == ["0-2", "3-5", "6-8", "9"]
    assert config.shards("digits", "dm", "convnet-d4-bn") == ["0-9"]
    assert config.shards("digits", "herding", "convnet") == ["0-9"]


def test_a_protocol_says_which_data_sets_are_split(folder: Path) -> None:
    config = load_small(folder, classes_per_job={"digits": 4})
    assert config.shards("digits", "dm", "convnet") == ["0-3", "4-7", "8-9"]
    assert config.shards("mnist", "dm", "convnet") == ["0-9"]
    config = load_config(folder, "small", {"classes_per_job": 5})
    assert (
        config.shards("digits", "dm", "convnet") == config.shards("mnist", "dm", "convnet") == ["0-4", "5-9"]
    )


def test_imagenet_is_condensed_as_published(paper: Config) -> None:
    # DM section 3.2: three sets, made on ten GPUs.
    sets = paper.target_sets("imagenet")
    assert {(s.dataset, s.network) for s in sets} == {("imagenet1k", "convnet-d4")}
    assert Counter((s.method, s.ipc) for s in sets) == dict.fromkeys(
        product(("random", "dm"), (1, 10, 50)), 5
    )
    assert len(paper.shards("imagenet1k", "dm", "convnet-d4")) == 10


def test_figure_3_maps_one_set_of_each_method(folder: Path, paper: Config) -> None:
    shown = plans.embedding(paper, "figure3")
    assert (shown.dataset, shown.network, shown.classes) == ("cifar10", "convnet", 3)
    assert [(s.method, s.ipc, s.seed) for s in shown.sets] == [(m, 50, 0) for m in ("dc", "dsa", "dm")]
    block = {"datasets": ["digits"], "methods": ["dm"], "ipc": [1, 2], "classes": 2, "real_images": 9}
    config = load_small(folder, targets={"figure3": [block | {"networks": ["mlp"]}]})
    sets = tuple(SetId("digits", "dm", "mlp", ipc, 0) for ipc in (1, 2))
    assert plans.embedding(config, "figure3") == ("digits", "mlp", sets, 2, 9)


@pytest.mark.parametrize("call", ["dataset", "method"])
def test_unknown_names_are_refused(paper: Config, call: str) -> None:
    with pytest.raises(CondenseryError, match="'cifar11'"):
        getattr(paper, call)("cifar11")


def test_a_block_may_have_recipes_of_its_own(folder: Path) -> None:
    blocks = [
        {"datasets": ["digits"], "methods": ["random", "dm"], "ipc": [1], "recipes": ["dsa"]},
        {"datasets": ["digits"], "methods": ["random"], "ipc": [10]},
        {"datasets": ["digits"], "methods": ["dm"], "ipc": [20], "recipes": ["plain", "dsa"]},
    ]
    config = load_small(folder, targets={"table1": blocks, "figure2": blocks[:1]})
    evaluations = sorted((e.set.method, e.set.ipc, e.recipe) for e in config.target_evaluations("table1"))
    assert evaluations == [
        *[("dm", 1, "dsa"), ("dm", 20, "dsa"), ("dm", 20, "plain")],
        *[("random", 1, "dsa"), ("random", 10, "dc"), ("random", 10, "dsa")],
    ]


def test_recipes_resolve_by_data_set_and_size(folder: Path) -> None:
    when = {"dataset": ["digits"], "ipc": [50]}
    lowered = {"parameters": {"epochs": 9}, "overrides": [{"when": when, "set": {"epochs": 4}}]}
    config = load_small(folder, recipes={"dsa": lowered})
    assert config.recipe("dsa", "digits", 50)["epochs"] == 4
    assert config.recipe("dsa", "digits", 10)["epochs"] == config.recipe("dsa", "mnist", 50)["epochs"] == 9


def test_a_protocol_may_train_without_the_augmentation_of_dc() -> None:
    laptop = load_config(CONFIG, "laptop")
    for network in ("convnet", "convnet-bn"):
        values = laptop.recipe("dc", "mnist", 10, network)
        assert (values["epochs"], values["augmentation"]) == (50, "none")


def test_precision_is_the_protocols_unless_it_is_given(folder: Path) -> None:
    assert load_small(folder).precision == "fp32"
    assert load_small(folder, precision="bf16").precision == "bf16"
    assert load_config(folder, "small", {"precision": "tf32"}).precision == "tf32"


# ---- agreement with the library


def test_methods_agree_with_the_library(paper: Config) -> None:
    assert sorted({paper.implementation(name) for name in paper.methods}) == methods.names()
    for name in paper.methods:
        method = methods.get(paper.implementation(name))
        assert ("generator" in paper.needs(name)) is isinstance(method, Sampling), name


def test_source_kinds_agree_with_the_library() -> None:
    schema = read(ROOT / "src" / "condensery" / "schemas" / "datasets.schema.yaml")
    kinds = schema["additionalProperties"]["properties"]["sources"]["items"]["properties"]["kind"]["enum"]
    assert sorted(kinds) == sorted(KINDS)


NETWORKS = [
    *networks.search_space(),
    "convnet-d4",
    "convnet-swish-bn",
    "mlp",
    "lenet",
    "alexnet-bn",
    "vgg11",
    "vgg11-bn",
]
NETWORKS += [
    "resnet18",
    "resnet18-bn",
    "resnet18ap-bn",
    "convnet-nonorm-nopool",
    "alexnet-nonorm",
    "resnet18ap",
]
NO_NETWORKS = [
    "",
    "convnett",
    "convnet-d0",
    "convnet-w",
    "convnet-elu",
    "mlp-bn",
    "lenet-in",
    "vgg11-gn",
    "ConvNet",
    "vgg16",
]


def test_network_names_agree_with_the_library() -> None:
    reference = "common.schema.yaml#/$defs/network"
    for name in NETWORKS:
        networks.canonical(name)
        check(name, reference, CONFIG)
    for name in NO_NETWORKS:
        with pytest.raises(CondenseryError):
            networks.canonical(name)
        with pytest.raises(CondenseryError):
            check(name, reference, CONFIG)


# ---- refusals

TABLE = ("targets", "table1", 0)
MAP = ("targets", "figure3", 0)
LONG = ("dm", "parameters")
VARIANT = {"variant_of": "dm", "title": "a variant"}
REFUSED = [
    ("config.yaml", ("protocl",), "smoke", "unknown key 'protocl'; did you mean 'protocol'"),
    ("config.yaml", ("device",), ..., "'device' is missing"),
    ("config.yaml", ("device",), "gpu", "device: must be auto, cpu"),
    ("config.yaml", ("precision",), "fp16", "precision: must be one of null, fp32, tf32, bf16, not 'fp16'"),
    ("config.yaml", ("gpu",), -1, "gpu: must be at least 0, not -1"),
    ("config.yaml", ("gpu",), True, "gpu: must be a whole number, not True"),
    ("config.yaml", ("classes_per_job",), 0, "classes_per_job: must be null, or a whole number"),
    ("config.yaml", ("classes_per_job",), 2.0, "classes_per_job: must be null, or a whole number"),
    ("config.yaml", ("threads", "condense"), "2", "threads.condense: must be a whole number, not '2'"),
    ("config.yaml", ("threads", "sleep"), 1, "threads: unknown key 'sleep'"),
    ("datasets.yaml", ("digits", "chanels"), 1, "digits: unknown key 'chanels'; did you mean 'channels'"),
    ("datasets.yaml", ("digits", "channels"), 2, "digits.channels: must be one of 1, 3, not 2"),
    ("datasets.yaml", ("digits", "mean"), [0.1, 0.1, 0.1], "digits.mean: must have one value for each"),
    ("datasets.yaml", ("digits", "std"), [0.0], "digits.std: must be auto, or one value above 0"),
    ("datasets.yaml", ("digits", "size"), [8], "digits.size: must be a list of at least 2"),
    (
        "datasets.yaml",
        ("digits", "augmentation"),
        "color_flop",
        "digits.augmentation: must be none, or families",
    ),
    ("datasets.yaml", ("digits", "network"), "convnet-d", "digits.network: unknown option 'd'"),
    ("datasets.yaml", ("digits", "sources"), [], "digits.sources: must be a list of at least 1"),
    ("datasets.yaml", ("digits", "sources", 0, "kind"), "cifar", "digits.sources[0].kind: must be one of"),
    ("methods.yaml", ("dm", "title"), ..., "dm: key 'title' is missing"),
    ("methods.yaml", ("whole",), {}, "must be a method's name"),
    (
        "methods.yaml",
        (*LONG, "iteration"),
        5,
        "dm.parameters: unknown key 'iteration'; did you mean 'iterations'",
    ),
    ("methods.yaml", (*LONG, "iterations"), ..., "dm.parameters: key 'iterations' is missing"),
    ("methods.yaml", (*LONG, "iterations"), 20000.0, "dm.parameters.iterations: must be a whole number"),
    (
        "methods.yaml",
        (*LONG, "lr_img"),
        "1e-3",
        "dm.parameters.lr_img: must be a number, not '1e-3' (a text for",
    ),
    ("methods.yaml", (*LONG, "lr_img"), float("inf"), "dm.parameters.lr_img: must be"),
    ("methods.yaml", (*LONG, "lr_img"), float("nan"), "dm.parameters.lr_img: must be"),
    ("methods.yaml", (*LONG, "momentum"), 1.0, "dm.parameters.momentum: must be less than 1"),
    ("methods.yaml", (*LONG, "init"), "zero", "dm.parameters.init: must be one of real, noise"),
    ("methods.yaml", ("random", "parameters", "x"), 1, "random.parameters: unknown key 'x'"),
    ("methods.yaml", ("dm", "recipes"), ["dsaa"], "dm.recipes: unknown recipe 'dsaa'; did you mean 'dsa'"),
    ("methods.yaml", ("dm", "overrides", 0, "set", "lr"), 1.0, "dm.overrides[0].set: unknown key 'lr'"),
    (
        "methods.yaml",
        ("dm", "overrides", 0, "set", "iterations"),
        0,
        "set.iterations: must be at least 1, not 0",
    ),
    ("methods.yaml", ("dm", "overrides", 0, "when"), {"data": ["mnist"]}, "when: unknown key 'data'"),
    (
        "methods.yaml",
        ("dm", "overrides", 0, "when", "dataset"),
        ["mnits"],
        "unknown data set 'mnits'; did you mean",
    ),
    ("recipes.yaml", ("dsa", "parameters", "epochs"), 0, "dsa.parameters.epochs: must be at least 1"),
    ("recipes.yaml", ("dsa", "parameters", "batchsize"), 9, "dsa.parameters: unknown key 'batchsize'"),
    (
        "recipes.yaml",
        ("dc", "overrides", 0, "set", "augmentation"),
        "dc_flip",
        "dc.overrides[0].set.augmentation: must be dsa (the data set's strategy), none, families",
    ),
    ("recipes.yaml", ("dc", "overrides", 0, "when"), {"model": ["mlp"]}, "when: unknown key 'model'"),
    ("recipes.yaml", ("dsa",), ..., "key 'dsa' is missing"),
    ("protocols/smoke.yaml", ("seeds",), 3, "unknown key 'seeds'"),
    ("protocols/smoke.yaml", ("sets",), 0, "sets: must be at least 1, not 0"),
    (
        "protocols/smoke.yaml",
        ("targets", "table11"),
        [],
        "targets: unknown key 'table11'; did you mean 'table1'",
    ),
    ("protocols/smoke.yaml", (*TABLE, "dataset"), ["digits"], "targets.table1[0]: unknown key 'dataset'"),
    (
        "protocols/smoke.yaml",
        (*TABLE, "datasets"),
        ["cifar11"],
        "targets.table1[0].datasets: unknown data set 'cifar11'",
    ),
    (
        "protocols/smoke.yaml",
        (*TABLE, "methods"),
        ["DM"],
        "targets.table1[0].methods[0]: must be a name of lower-case",
    ),
    ("protocols/smoke.yaml", (*TABLE, "methods"), ["dmm"], "targets.table1[0].methods: unknown method 'dmm'"),
    (
        "protocols/smoke.yaml",
        (*TABLE, "ipc"),
        [1, 1],
        "targets.table1[0].ipc: must be a list without repetitions",
    ),
    ("protocols/smoke.yaml", (*TABLE, "ipc"), [0], "targets.table1[0].ipc[0]: must be at least 1, not 0"),
    (
        "protocols/smoke.yaml",
        (*TABLE, "networks"),
        ["resnet50"],
        "targets.table1[0].networks[0]: unknown network 'resnet50'",
    ),
    ("protocols/smoke.yaml", (*TABLE, "evaluate"), "mlp", "targets.table1[0].evaluate: must be a list"),
    ("protocols/smoke.yaml", ("targets",), {}, "targets: must be a mapping of at least 1 key"),
    ("methods.yaml", ("x",), VARIANT | {"variant_of": "dma"}, "x.variant_of: unknown method 'dma'; did you"),
    ("methods.yaml", ("x",), VARIANT | {"independent_classes": True}, "x: unknown key 'independent_classes'"),
    ("methods.yaml", ("x",), {"variant_of": "dm"}, "x: key 'title' is missing"),
    (
        "methods.yaml",
        ("x",),
        VARIANT | {"parameters": {"lr": 1.0}},
        "x.parameters: unknown key 'lr'; known: batch_real",
    ),
    (
        "methods.yaml",
        ("x",),
        VARIANT | {"parameters": {"init": "zero"}},
        "x.parameters.init: must be one of real, noise",
    ),
    (
        "methods.yaml",
        ("x",),
        VARIANT | {"overrides": [{"when": {"ipc": [1]}, "set": {"iterations": "9"}}]},
        "x.overrides[0].set.iterations: must be like 20000",
    ),
    ("methods.yaml", ("dsa", "parameters", "strategy"), "crop_crop", "strategy: must be dataset (the data"),
    ("methods.yaml", ("dc", "parameters", "strategy"), "crop", "dc.parameters: unknown key 'strategy'"),
    ("methods.yaml", ("dsa", "parameters", "distance"), ..., "dsa.parameters: key 'distance' is missing"),
    ("recipes.yaml", ("x",), VARIANT | {"variant_of": "cd"}, "x.variant_of: unknown recipe 'cd'"),
    (
        "recipes.yaml",
        ("dsa", "parameters", "augmentation"),
        "flop",
        "augmentation: must be dsa (the data set's",
    ),
    (
        "protocols/smoke.yaml",
        ("precision",),
        "fp64",
        "precision: must be one of fp32, tf32, bf16, not 'fp64'",
    ),
    ("protocols/smoke.yaml", (*TABLE, "recipes"), ["dsb"], "targets.table1[0].recipes: unknown recipe 'dsb'"),
    ("protocols/smoke.yaml", ("targets", "figure2", 0, "methods"), ["whole"], "unknown method 'whole'"),
    (
        "protocols/smoke.yaml",
        ("classes_per_job",),
        {"digitz": 4},
        "classes_per_job: unknown data set 'digitz'; did you mean 'digits'",
    ),
    (
        "protocols/smoke.yaml",
        ("classes_per_job",),
        {"digits": 0},
        "classes_per_job.digits: must be at least 1",
    ),
    ("protocols/smoke.yaml", (*MAP, "classes"), 11, "figure3[0].classes: must be at most 10, not 11"),
    (
        "protocols/smoke.yaml",
        (*MAP, "datasets"),
        ["digits", "mnist"],
        "figure3[0].datasets: must be a list of",
    ),
    (
        "protocols/smoke.yaml",
        ("methods", "dm", "parameters", "iterations"),
        "60",
        "iterations: must be like 20000",
    ),
    (
        "protocols/smoke.yaml",
        ("methods", "dm", "parameters", "iters"),
        60,
        "methods.dm.parameters: unknown key 'iters'",
    ),
    ("protocols/smoke.yaml", ("methods", "rded"), {"parameters": {"a": 1}}, "methods: unknown method 'rded'"),
    (
        "protocols/smoke.yaml",
        ("recipes", "dsa", "parameters", "lr"),
        0,
        "recipes.dsa.parameters.lr: must be greater than 0",
    ),
    ("protocols/smoke.yaml", ("search", "dataset"), "digitz", "search.dataset: unknown data set 'digitz'"),
    (
        "protocols/smoke.yaml",
        ("search", "proxies"),
        ["early"],
        "search.proxies: unknown proxy 'early'; ",
    ),
    (
        "protocols/smoke.yaml",
        ("search", "proxies"),
        ["herding"],
        "search.proxies: herding needs net",
    ),
    (
        "protocols/smoke.yaml",
        ("search", "proxies"),
        ["dm-pool-30-40"],
        "search.proxies: dm-pool-30-40 needs networks trained",
    ),
    (
        "protocols/smoke.yaml",
        ("continual", "continual5", "methods"),
        ["dm-pool"],
        "continual.continual5.methods: dm-pool needs a pool that was trained on all classes",
    ),
    (
        "protocols/smoke.yaml",
        ("pool",),
        ...,
        "dm-pool-70-100 needs what 'pool' describes; add that key",
    ),
    ("protocols/smoke.yaml", ("pool", "validation"), 0, "pool.validation: must be greater than 0"),
    (
        "methods.yaml",
        ("dm-pool", "parameters", "network_group"),
        "80-90",
        "dm-pool.parameters.network_group: must be one of random, 10-20",
    ),
    ("protocols/smoke.yaml", ("search", "networks"), 181, "search.networks: must be at most 180"),
    ("protocols/smoke.yaml", ("search", "widths"), [48], "search.widths[0]: must be one of 32, 64, 128, 256"),
    ("protocols/smoke.yaml", ("search", "validation"), 1, "search.validation: must be less than 1"),
    ("protocols/smoke.yaml", ("search", "repeat"), 2, "search: unknown key 'repeat'; did you mean 'repeats'"),
]


@pytest.mark.parametrize(("file", "keys", "value", "expected"), REFUSED, ids=[row[3] for row in REFUSED])
def test_a_wrong_value_is_one_line_with_file_and_key(
    folder: Path, file: str, keys: tuple[str | int, ...], value: Any, expected: str
) -> None:
    edit(folder / file, keys, value)
    message = refusal(folder)
    assert message.startswith(f"{folder / file}: ")
    assert expected in message


def test_more_classes_than_there_are_cannot_be_mapped(folder: Path) -> None:
    edit(folder / "datasets.yaml", ("digits", "classes"), ["0", "1"])
    edit(folder / "protocols" / "smoke.yaml", ("continual",), ...)
    message = refusal(folder)
    assert message.endswith("targets.figure3[0].classes: digits has 2 classes; give 2 or less")


def test_a_variant_of_a_variant_is_refused(folder: Path) -> None:
    add_variants(folder)
    edit(folder / "methods.yaml", ("slower",), {"variant_of": "slow", "title": "slower"})
    message = refusal(folder)
    assert message == (
        f"{folder / 'methods.yaml'}: slower.variant_of: 'slow' is a variant itself; name 'dm', its base"
    )


def test_a_merged_mapping_may_be_changed(folder: Path) -> None:
    text = "base: &base {protocol: smoke}\nother: {<<: *base, protocol: paper}\n"
    (folder / "merged.yaml").write_text(text)
    assert read(folder / "merged.yaml")["other"] == {"protocol": "paper"}


def test_too_many_images_per_class_are_refused_where_the_class_size_is_known(folder: Path) -> None:
    edit(folder / "datasets.yaml", ("digits", "smallest_class"), 10)
    load_config(folder, "smoke")
    edit(folder / "datasets.yaml", ("digits", "smallest_class"), 9)
    message = refusal(folder)
    assert message.startswith(
        f"{folder / 'protocols/smoke.yaml'}: targets.table1[0].ipc: 10 images per class"
    )
    assert "has only 9" in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("protocol: smoke\nprotocol: paper\n", "line 2: key 'protocol' is given twice"),
        ("protocol: [smoke\n", "line 2: "),
        ("- protocol\n", "must hold keys and values"),
        ("", "must hold keys and values"),
    ],
)
def test_a_file_that_is_no_mapping_is_one_line(folder: Path, text: str, expected: str) -> None:
    (folder / "config.yaml").write_text(text)
    message = refusal(folder)
    assert message.startswith(f"{folder / 'config.yaml'}:")
    assert expected in message


def test_missing_files_and_unknown_protocols_are_one_line(folder: Path) -> None:
    assert "unknown protocol 'smoky'; did you mean 'smoke'" in refusal(folder, "smoky")
    (folder / "recipes.yaml").unlink()
    assert refusal(folder).startswith(f"{folder / 'recipes.yaml'}: cannot be read")


def test_given_settings_replace_those_of_the_file(folder: Path) -> None:
    config = load_config(folder, settings={"protocol": "smoke", "threads": {"condense": 7}})
    assert config.protocol == "smoke"
    assert config.settings["threads"] == {"prepare": 1, "pretrain": 2, "condense": 7, "evaluate": 1}
    with pytest.raises(CondenseryError, match="unknown key 'thread'"):
        load_config(folder, settings={"thread": 1})
