# What the rules of the architecture search share.
# Where the rows of what networks are trained on lie -> its name.
NAMES = {p if p == "whole" else f"{p}/ipc{SEARCH.ipc}": p for p in SEARCH.candidates}
SEARCHED = f"{RESULTS}/search"


def proxy(w) -> list[str]:
    # The set that is trained on; none where that is the whole set, all of it or for a while.
    made = SEARCH.set_of(NAMES[w.candidate], CONFIG.network(w.dataset))
    where = f"{SEARCHED}/synthetic/{SET}.safetensors"
    return [where.format(**made._asdict())] if made else []


def trained_on(w, input) -> str:
    option = NAMES[w.candidate].replace("_", "-")
    return f"--proxy {input.proxy}" if input.proxy else f"--{option}"


def search_recipe(w) -> dict:
    if w.get("candidate", "whole") == "whole":
        return CONFIG.recipe("search_whole", w.dataset)
    return CONFIG.recipe("search", w.dataset, SEARCH.ipc)


SEARCH_ROWS = [
    f"{SEARCHED}/accuracy/{SEARCH.dataset}/{candidate}/{part}.parquet"
    for candidate in NAMES
    for part in SEARCH.parts()
]
