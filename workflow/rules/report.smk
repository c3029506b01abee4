# One rule per kind of target; its wildcard `target` is a target of this kind that the protocol lists. The rules of
# continual learning, of trajectories and of the search are in the files of their jobs.
LABELS = [
    CONFIG.spec["description"],
    *(m["title"] for m in CONFIG.methods.values()),
    *(d.get("title", name) for name, d in CONFIG.datasets.items()),
]
PUBLISHED = sorted(map(str, (SETTINGS / "published").glob("*.csv")))

# Parameters on which every target depends besides its inputs.
TARGET = {"labels": LABELS}


rule table:
    input:
        settings=asked(get_rows),
        rows=get_rows,
        published=PUBLISHED,
    output:
        **table_outputs("table"),
        settings=SETTINGS_FILE,
    log:
        "results/{protocol}/logs/tables/{target}.log",
    benchmark:
        "results/{protocol}/benchmarks/tables/{target}.tsv"
    wildcard_constraints:
        target=named(target_kinds.Accuracies),
    conda:
        "../../environment.yml"
    resources:
        **REPORT_JOB,
    params:
        **TARGET,
        prefix=subpath(output.csv, strip_suffix=".csv"),
        folder=f"{RESULTS}/accuracy",  # the paths of a large table's rows do not fit a command line
    shell:
        target_script(
            "table",
            " --table {wildcards.target} --protocol {wildcards.protocol}"
            " --rows {params.folder:q} --only-target --out-prefix {params.prefix}",
        )


rule curve:
    input:
        settings=asked(get_rows),
        rows=get_rows,
        published=PUBLISHED,
    output:
        **figure_outputs("curve"),
        settings=SETTINGS_FILE,
    log:
        "results/{protocol}/logs/figures/{target}.log",
    benchmark:
        "results/{protocol}/benchmarks/figures/{target}.tsv"
    wildcard_constraints:
        target=named(target_kinds.Curves),
    conda:
        "../../environment.yml"
    resources:
        **REPORT_JOB,
    params:
        **TARGET,
        prefix=subpath(output.png, strip_suffix=".png"),
        folder=f"{RESULTS}/accuracy",
    shell:
        target_script(
            "curve",
            " --figure {wildcards.target} --protocol {wildcards.protocol}"
            " --rows {params.folder:q} --only-target --out {params.prefix}",
        )


rule figure:
    input:
        settings=asked(lambda w: get_sets(w) + get_rows(w)),
        sets=get_sets,
        rows=get_rows,
    output:
        **figure_outputs("images"),
        settings=SETTINGS_FILE,
    log:
        "results/{protocol}/logs/figures/{target}.log",
    benchmark:
        "results/{protocol}/benchmarks/figures/{target}.tsv"
    wildcard_constraints:
        target=named(target_kinds.Images),
    conda:
        "../../environment.yml"
    resources:
        **REPORT_JOB | {"mem_mb": 4000},
    params:
        **TARGET,
        prefix=subpath(output.png, strip_suffix=".png"),
    shell:
        target_script(
            "figure",
            " --figure {wildcards.target} --protocol {wildcards.protocol}"
            " --sets {input.sets} --rows {input.rows} --out-prefix {params.prefix}",
        )


MAP_FILE = f"{RESULTS}/figures/{{target}}.png"


rule embedding:
    input:
        settings=asked(get_mapped_sets),
        data=unless_made(MAP_FILE, of_target, get_mapped_data),
        features=unless_made(MAP_FILE, of_target, get_mapped_features),
        sets=unless_made(MAP_FILE, of_target, get_mapped_sets),
    output:
        **figure_outputs("embedding"),
        csv="results/{protocol}/figures/{target}.csv",
        settings=SETTINGS_FILE,
    log:
        "results/{protocol}/logs/figures/{target}.log",
    benchmark:
        "results/{protocol}/benchmarks/figures/{target}.tsv"
    wildcard_constraints:
        target=named(target_kinds.Embedding),
    conda:
        "../../environment.yml"
    threads: THREADS["evaluate"]
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        **TARGET,
        map=lambda w: embedding(CONFIG, w.target),
        precision=PRECISION,
        prepared=get_mapped_prepared,
    shell:
        target_script(
            "embedding",
            " --figure {wildcards.target} --data {params.map.dataset} --prepared {params.prepared:q}"
            " --network {params.map.network} --features {input.features} --sets {input.sets}"
            " --classes {params.map.classes} --real-images {params.map.real_images}"
            " --protocol {wildcards.protocol} --device cpu"
            " --threads {threads} --out {output.png}",
        )


rule page:
    input:
        tables=expand("results/{{protocol}}/tables/{target}.csv", target=ALL_TABLES),
        figures=expand("results/{{protocol}}/figures/{target}.png", target=ALL_FIGURES),
    output:
        "results/{protocol}/report.html",
    log:
        "results/{protocol}/logs/report.log",
    benchmark:
        "results/{protocol}/benchmarks/report.tsv"
    conda:
        "../../environment.yml"
    resources:
        **REPORT_JOB,
    params:
        **TARGET,
        shown=[*ALL_TABLES, *ALL_FIGURES],
    shell:
        script(
            "report",
            " --protocol {wildcards.protocol} --tables {input.tables}"
            " --figures {input.figures} --out {output}",
        )
