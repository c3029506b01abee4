# Reads config/, checks it, and names the targets. Results lie at their coordinates:
#   results/<protocol>/pool/<data set>/<network>/<part of the networks>.safetensors
#   results/<protocol>/generators/<data set>/<method>/seed<s>.safetensors
#   results/<protocol>/synthetic/<data set>/<method>/<network>/ipc<k>/seed<s>.safetensors
#   results/<protocol>/accuracy/<data set>/<method>/<network>/ipc<k>/seed<s>/<recipe>-<network>.parquet
#   results/<protocol>/accuracy/<data set>/whole/<recipe>-<network>/seed<s>.parquet
#   results/<protocol>/continual/<data sets>/steps<n>/<method>/<network>/ipc<k>/order<s>/accuracy.parquet
#   results/<protocol>/trajectories/<data set>/<method>/<network>/ipc<k>/seed<s>/step<n>.safetensors
#   results/<protocol>/trajectory_accuracy/<as above>/seed<s>/step<n>/<recipe>-<network>.parquet
#   results/<protocol>/search/synthetic/  as above, condensed without the images that validate
#   results/<protocol>/search/accuracy/<data set>/<proxy>/<part of the networks>.parquet
#   results/<protocol>/search/chosen/<data set>.parquet
#   results/<protocol>/tables/  figures/  report.html  logs/  benchmarks/
from snakemake.utils import min_version

min_version("9.20")


include: "workflow/rules/common.smk"
include: "workflow/rules/resources.smk"
include: "workflow/rules/trained.smk"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    protocol=PROTOCOL,
    dataset="|".join(CONFIG.datasets),
    method="|".join(CONFIG.methods),
    network="|".join(NETWORKS),
    evaluation="|".join(NETWORKS),
    recipe="|".join(CONFIG.recipes),
    table="|".join(TABLES),
    figure="figure2|figure_distributions",
    ipc=r"[1-9]\d*",
    seed=r"\d+",
    shard=r"\d+(-\d+)?",
    continual="|".join(CONTINUAL) or "none",
    tasks=rf"({'|'.join(CONFIG.datasets)})(\+({'|'.join(CONFIG.datasets)}))*",
    steps=r"[1-9]\d*",
    order=r"\d+",
    step=r"\d+",


include: "workflow/rules/data.smk"
include: "workflow/rules/generators.smk"
include: "workflow/rules/condense.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/memories.smk"
include: "workflow/rules/continual.smk"
include: "workflow/rules/trajectory.smk"
include: "workflow/rules/embedding.smk"
include: "workflow/rules/cost.smk"


if POOL:

    include: "workflow/rules/pool.smk"


if SEARCH:

    include: "workflow/rules/proxies.smk"
    include: "workflow/rules/search.smk"


localrules:
    all,
    report,
    table,
    cost,
    figure,
    continual_report,
    page,


rule all:
    default_target: True
    input:
        expand(f"{RESULTS}/tables/{{table}}.cost.csv", table=ALL_TABLES),
        expand(f"{RESULTS}/figures/{{figure}}.png", figure=ALL_FIGURES),
        f"{RESULTS}/report.html",


# A target for everything that the protocol lists.
for folder, names, kinds in (
    ("tables", TABLES, TABLE_FILES),
    ("figures", FIGURES, ["png", "pdf"]),
):
    for target in names:

        rule:
            name:
                target
            input:
                expand(f"{RESULTS}/{folder}/{target}.{{kind}}", kind=kinds),
            localrule: True


rule report:
    input:
        f"{RESULTS}/report.html",
