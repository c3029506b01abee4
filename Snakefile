# Reads and checks config/, and defines the targets; docs/workflow.md lists the paths of the results.
from snakemake.utils import min_version

min_version("9.20")


include: "workflow/rules/common.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/fresh.smk"
include: "workflow/rules/resources.smk"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    protocol=PROTOCOL,
    dataset="|".join(CONFIG.datasets),
    method="|".join(CONFIG.methods),
    network="|".join(NETWORKS),
    evaluation="|".join(NETWORKS),
    recipe="|".join(CONFIG.recipes),
    ipc=r"[1-9]\d*",
    seed=r"\d+",
    shard=r"\d+(-\d+)?",
    tasks=rf"({'|'.join(CONFIG.datasets)})(\+({'|'.join(CONFIG.datasets)}))*",
    steps=r"[1-9]\d*",
    order=r"\d+",
    step=r"\d+",


include: "workflow/rules/data.smk"
include: "workflow/rules/condense.smk"
include: "workflow/rules/generators.smk"
include: "workflow/rules/networks.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/reproduction.smk"
include: "workflow/rules/cost.smk"
include: "workflow/rules/progress.smk"


# Rules for only some protocols.
if SPLIT:

    include: "workflow/rules/split.smk"


if CONFIG.listed(target_kinds.Memories):

    include: "workflow/rules/continual.smk"


if CONFIG.listed(target_kinds.Trajectories):

    include: "workflow/rules/trajectory.smk"


if SEARCH:

    include: "workflow/rules/search.smk"


localrules:
    all,
    report,
    table,
    cost,
    figure,
    curve,
    page,
    reproduction,


rule all:
    default_target: True
    input:
        expand(f"{RESULTS}/tables/{{target}}.cost.csv", target=ALL_TABLES),
        expand(f"{RESULTS}/figures/{{target}}.png", target=ALL_FIGURES),
        f"{RESULTS}/report.html",


# A rule per target of the protocol: its table, its figure, or both.
for target in CONFIG.targets():

    rule:
        name:
            target
        input:
            target_files(target),
        localrule: True


rule report:
    input:
        f"{RESULTS}/report.html",
