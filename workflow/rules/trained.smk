# What sets are condensed with, where that is trained beforehand: networks to select through, pools, generators.

GENERATOR = "generators/{dataset}/{method}/seed{seed}"


def features(w) -> list[str]:
    path = f"{RESULTS}/features/{w.dataset}/{w.network}/seed{w.seed}.safetensors"
    return [path] if CONFIG.method(w.method)["needs_features"] else []


def pool(w) -> list[str]:
    # All parts of the pool that a set is condensed with, if it is.
    made = SetId(w.dataset, w.method, w.network, int(w.ipc), 0)
    needed = CONFIG.draws_from_pool(made)
    folder = f"{RESULTS}/pool/{w.dataset}/{w.network}"
    return [f"{folder}/{part}.safetensors" for part in POOL.parts()] if needed else []


def generator(w) -> list[str]:
    path = f"{RESULTS}/{GENERATOR.format(**w)}.safetensors"
    return [path] if CONFIG.needs_generator(w.method) else []
