# Existing files against the current settings. Snakemake records how it made a file, but not files from Git or DVC.
# results/<protocol>/settings/<target>.json holds the settings of a target, and is stored and fetched with it.
from condensery.files import atomic
from condensery.identity import made_from

RECORDED = [settings.read(path) for path in Path(RESULTS, "settings").glob("*.json")]


def asked(inputs, *targets: str):
    # The input with the current settings of some targets (of the rule's wildcard, if none is named). It is new, so that
    # the rule runs, unless the targets were made with these settings and the other inputs exist.
    def get(w) -> list[str]:
        complete = all(Path(file).exists() for file in inputs(w))
        return [asked_of(name, complete) for name in targets or [w.target]]

    return get


def asked_of(target: str, complete: bool) -> str:
    path = Path(f"{RESULTS}/logs/settings/{target}.json")
    wanted = settings.settings_of(CONFIG, target)
    recorded = settings.read(Path(f"{RESULTS}/settings/{target}.json"))
    fresh = recorded == wanted and complete
    if only_planned():
        # A run beside this one may use the file, for other settings.
        outdated = not path.exists()
        path = path if fresh else path.parent / "planned" / path.name
    else:
        outdated = settings.read(path) != wanted
    if not fresh or outdated:
        with atomic(path) as temporary:
            temporary.write_text(settings.as_text(wanted), encoding="utf-8")
    return ancient(str(path)) if fresh else str(path)


def only_planned() -> bool:
    # Whether jobs are only listed, as with --dry-run or --summary; the latter has no executor.
    return workflow.executor_plugin is None or workflow.dryrun


# The settings of the fetched files.
def of_set(w) -> dict:
    return settings.of_set(CONFIG, w.dataset, w.method, w.network, int(w.ipc))


def of_rows(w) -> dict:
    evaluation = (w.recipe, w.dataset, w.evaluation, int(w.ipc))
    trained = settings.of_training(CONFIG, *evaluation)
    return {**of_set(w), **trained, "networks": CONFIG.spec["networks"]}


def of_whole_rows(w) -> dict:
    return settings.of_training(CONFIG, w.recipe, w.dataset, w.evaluation, 0)


def of_memory_rows(w) -> dict:
    return settings.of_memory(CONFIG, memory_id(w))


def of_target(w) -> dict:
    return settings.settings_of(CONFIG, w.target)


def of_search_rows(w) -> dict:
    return settings.of_search(CONFIG, NAMES.get(w.get("candidate"), "whole"))


def unless_made(output: str, made_with, inputs):
    # The inputs of a job. If its output exists and has the current settings, inputs that are absent, or newer with the
    # same content, are left out: fetched sets stay when data are prepared, and fetched rows stay without their sets.
    def get(w) -> list[str]:
        files = inputs(w)
        found = Path(output.format(**{"protocol": PROTOCOL, **w}))
        if not found.exists() or not settings.agree(
            RECORDED, {"precision": PRECISION, **made_with(w)}
        ):
            return files
        present = [file for file in files if Path(file).exists()]
        prepared = [file for file in present if Path(file).name == "info.json"]
        since = found.stat().st_mtime
        if any(Path(file).stat().st_mtime > since for file in prepared) and made_from(
            found, [Path(file).parent for file in prepared]
        ):
            present = [file for file in present if file not in prepared]
        return present

    return get
