# Input functions of the rules, and the parameters on which the result of a job depends.
from hashlib import sha256

from condensery.experiment import memories, needs
from condensery.experiment.memories import MemoryId
from condensery.experiment.needs import NEEDS
from condensery.experiment.trajectories import RECIPE, steps_of, trajectories


def get_sets(wildcards) -> list[str]:
    return [set_path(s) for s in CONFIG.target_sets(wildcards.target)]


def get_rows(w) -> list[str]:
    on_sets = CONFIG.target_evaluations(w.target)
    return [*map(rows_path, on_sets + CONFIG.whole_evaluations(w.target))]


def get_shards(w) -> list[str]:
    folder = f"{RESULTS}/synthetic/{SET.format(**w)}"
    parts = CONFIG.shards(w.dataset, w.method, w.network)
    return [f"{folder}/classes{part}.safetensors" for part in parts]


def get_data(w) -> list[str]:
    return [f"{DATA}/prepared/{w.dataset}/info.json"]


def get_prepared(w, input) -> str:
    # With the argument `input`, Snakemake derives the value from the inputs: another `data_dir` reruns nothing.
    return f"{DATA}/prepared/{w.dataset}"


def get_set(w) -> list[str]:
    return [f"{RESULTS}/synthetic/{SET}.safetensors".format(**w)]


def get_trajectory(w) -> list[str]:
    return [f"{RESULTS}/trajectories/{SET}".format(**w)]


def get_content(wildcards) -> dict:
    values = settings.content(CONFIG, wildcards.dataset)
    sources = CONFIG.dataset(wildcards.dataset)["sources"]
    if any(s["kind"] == "image-folder" and "content" not in s for s in sources):
        values |= folder_state(wildcards.dataset)
    return values


def folder_state(dataset: str) -> dict:
    # A changed image folder is prepared again. The import of PyTorch takes seconds: only if such a folder is used.
    from condensery.data import state_of_folder

    prepared = Path(f"{DATA}/prepared/{dataset}")
    state = state_of_folder(CONFIG.dataset(dataset), Path(f"{DATA}/raw"), prepared)
    return {"files": state} if state else {}


def get_method(w) -> dict:
    values = CONFIG.parameters(w.dataset, w.method, w.network, int(w.ipc))
    return values | {"augmentation": CONFIG.augmentation(w.dataset)}


def get_recipe(w) -> dict:
    name, ipc = w.get("recipe", "features"), int(w.get("ipc", 0))
    return CONFIG.recipe(name, w.dataset, ipc, w.get("evaluation", w.get("network")))


# Files of networks that are trained before condensation: their paths, and name -> files for one set.
FEATURES, STEP_FEATURES = NEEDS["features"].path, NEEDS["features"].step_path
GENERATOR = NEEDS["generator"].path


def needed_by(w) -> dict[str, list[str]]:
    if "step" in w.keys():
        found = needs.needed_in_step(CONFIG, w.method, w)
        known = {name: [path] for name, path in found.items()}
    else:
        set_id = SetId(w.dataset, w.method, w.network, int(w.ipc), int(w.seed))
        known = needs.needed(CONFIG, set_id)
    return {
        name: [f"{RESULTS}/{path}.safetensors" for path in paths]
        for name, paths in known.items()
    }


def get_needed(w) -> list[str]:
    return [file for files in needed_by(w).values() for file in files]


def get_trained(w) -> str:
    words = [f"{name}={file}" for name, files in needed_by(w).items() for file in files]
    return shlex.join(["--with", *words]) if words else ""


# The data, the network and the sets of a map of features.
def get_mapped_data(w) -> list[str]:
    return get_data(embedding(CONFIG, w.target))


def get_mapped_prepared(w, input) -> str:
    return get_prepared(embedding(CONFIG, w.target), input)


def get_mapped_features(w) -> list[str]:
    shown = embedding(CONFIG, w.target)
    path = FEATURES.format(
        dataset=shown.dataset, network=shown.network, seed=EMBEDDING_SEED
    )
    return [f"{RESULTS}/{path}.safetensors"]


def get_mapped_sets(w) -> list[str]:
    return [*map(set_path, embedding(CONFIG, w.target).sets)]


# Continual learning: memories are in the folder of their tasks, which is a data set, or several joined by "+".
STEPS = "{tasks}/steps{steps}"
MEMORY = f"{STEPS}/{{method}}/{{network}}/ipc{{ipc}}/order{{order}}"


def memory_id(w) -> MemoryId:
    return MemoryId(
        w.tasks, int(w.steps), w.method, w.network, int(w.ipc), int(w.order)
    )


def step_of(w) -> memories.Step:
    return memories.step_of(CONFIG, w.tasks, int(w.steps), int(w.order), int(w.step))


def get_step_data(w) -> list[str]:
    return [f"{DATA}/prepared/{step_of(w).dataset}/info.json"]


def get_step_prepared(w, input) -> str:
    return f"{DATA}/prepared/{step_of(w).dataset}"


def get_step_view(w) -> str:
    step = step_of(w)
    only = "--only " + ",".join(map(str, step.classes)) if step.classes else ""
    shape = "--shape " + "x".join(map(str, step.shape)) if step.shape else ""
    return only + shape


def get_step_method(w) -> dict:
    dataset, ipc = step_of(w).dataset, int(w.ipc)
    values = CONFIG.parameters(dataset, w.method, w.network, ipc)
    return values | {"augmentation": CONFIG.augmentation(dataset)}


def get_memory_files(w) -> list[str]:
    memory = memory_id(w)
    folder = f"{RESULTS}/continual/{MEMORY.format(**memory._asdict())}"
    files = []
    for number in range(memory.steps):
        whole = memories.set_with(CONFIG, memory, number)
        files.append(set_path(whole) if whole else f"{folder}/step{number}.safetensors")
    return list(dict.fromkeys(files))


def get_memory_rows(w) -> list[str]:
    paths = (MEMORY.format(**m._asdict()) for m in memories.memories(CONFIG, w.target))
    return [f"{RESULTS}/continual/{path}/accuracy.parquet" for path in paths]


def get_task_names(w) -> list[str]:
    return w.tasks.split(memories.JOIN)


def get_task_data(w) -> list[str]:
    return [f"{DATA}/prepared/{name}/info.json" for name in get_task_names(w)]


def get_task_recipes(w) -> list[dict]:
    return [
        CONFIG.recipe(name, dataset, int(w.ipc), w.network)
        for dataset in get_task_names(w)
        for name in memories.recipes(w.tasks)
    ]


def get_learning_script(w) -> str:
    return "continual" if len(get_task_names(w)) == 1 else "continual_domains"


def get_learning_view(w) -> str:
    # The networks learn groups of classes in turn, or data sets in turn.
    if len(get_task_names(w)) == 1:
        return f"--steps {w.steps} --order {w.order}"
    return f"--seed {w.order}"


def get_snapshot_rows(w) -> list[str]:
    # The rows of the snapshots in a figure of trajectories.
    return [
        f"{RESULTS}/trajectory_accuracy/{SET.format(**s._asdict())}/step{step}/{RECIPE}-{s.network}.parquet"
        for s, steps in trajectories(CONFIG, w.target).items()
        for step in steps
    ]


# The architecture search: folder of the rows -> training data of the networks.
CANDIDATES = SEARCH.candidates if SEARCH else ()
NAMES = {c if c == "whole" else f"{c}/ipc{SEARCH.ipc}": c for c in CANDIDATES}
SEARCHED = f"{RESULTS}/search"


def get_proxy(w) -> list[str]:
    # The proxy set for training; none for the whole set and for early stopping.
    set_id = SEARCH.set_of(NAMES[w.candidate], CONFIG.network(w.dataset))
    where = f"{SEARCHED}/synthetic/{SET}.safetensors"
    return [where.format(**set_id._asdict())] if set_id else []


def get_trained_on(w, input) -> str:
    option = NAMES[w.candidate].replace("_", "-")
    proxy = get_proxy(w)
    return shlex.join(["--proxy", *proxy]) if proxy else f"--{option}"


def get_search_recipe(w) -> dict:
    if w.get("candidate", "whole") == "whole":
        return CONFIG.recipe("search_whole", w.dataset)
    return CONFIG.recipe("search", w.dataset, SEARCH.ipc)


SEARCH_ROWS = [
    f"{SEARCHED}/accuracy/{SEARCH.dataset}/{candidate}/{part}.parquet"
    for candidate in NAMES
    for part in SEARCH.parts()
]


def row_digest(wildcards):
    # The rule reads existing rows of all protocols and must not rerun their jobs.
    # A file whose name begins with a dot is still being written.
    found = Path("results").glob("*/[acst]*/**/*.parquet")
    files = sorted(file for file in found if not file.name.startswith("."))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
