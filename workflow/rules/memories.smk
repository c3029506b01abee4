# What the rules of continual learning share. A memory lies at results/<protocol>/continual/<tasks>/steps<n>/<method>/
# <network>/ipc<k>/order<s>, where <tasks> is a data set whose classes come in steps, or data sets joined by "+".
# What a step adds is made by condense.py from a view of the data, or is part of an ordinary synthetic set.
from condensery.experiment import memories
from condensery.experiment.memories import MemoryId

STEPS = "{tasks}/steps{steps}"
MEMORY = f"{STEPS}/{{method}}/{{network}}/ipc{{ipc}}/order{{order}}"
FEATURES = f"{STEPS}/features/{{network}}/order{{order}}/step{{step}}"


def memory_id(w) -> MemoryId:
    return MemoryId(
        w.tasks, int(w.steps), w.method, w.network, int(w.ipc), int(w.order)
    )


def step_of(w) -> memories.Step:
    return memories.step_of(CONFIG, w.tasks, int(w.steps), int(w.order), int(w.step))


def step_data(w) -> str:
    return f"{DATA}/prepared/{step_of(w).dataset}/info.json"


def step_view(w) -> str:
    step = step_of(w)
    only = "--only " + ",".join(map(str, step.classes)) if step.classes else ""
    shape = "--shape " + "x".join(map(str, step.shape)) if step.shape else ""
    return only + shape


def step_features(w) -> list[str]:
    needed = CONFIG.method(w.method)["needs_features"]
    path = FEATURES.format(**w)
    return [f"{RESULTS}/continual/{path}.safetensors"] if needed else []


def step_method(w) -> dict:
    dataset, ipc = step_of(w).dataset, int(w.ipc)
    values = CONFIG.parameters(dataset, w.method, w.network, ipc)
    return values | {"augmentation": CONFIG.augmentation(dataset)}


def memory_files(w) -> list[str]:
    memory = memory_id(w)
    folder = f"{RESULTS}/continual/{MEMORY.format(**memory._asdict())}"
    files = []
    for number in memories.remembered_steps(memory):
        whole = memories.set_with(CONFIG, memory, number)
        files.append(set_path(whole) if whole else f"{folder}/step{number}.safetensors")
    return list(dict.fromkeys(files))


def memory_rows(target: str) -> list[str]:
    made = (MEMORY.format(**m._asdict()) for m in memories.memories(CONFIG, target))
    return [f"{RESULTS}/continual/{path}/accuracy.parquet" for path in made]


def task_names(w) -> list[str]:
    return w.tasks.split(memories.JOIN)


def task_recipes(w) -> list[dict]:
    names = task_names(w)
    name = memories.RECIPE if len(names) == 1 else memories.SEQUENCE_RECIPE
    return [CONFIG.recipe(name, dataset, int(w.ipc), w.network) for dataset in names]


def learning(w) -> str:
    # How the networks learn: class after class, or data set after data set.
    names = task_names(w)
    if len(names) == 1:
        return f"scripts/continual.py --steps {w.steps} --order {w.order}"
    return f"scripts/continual_domains.py --seed {w.order}"


def step_megabytes(wildcards, attempt: int) -> int:
    # The library, and a data set or two in memory.
    return attempt * 8000
