# Continual learning: docs/targets describes the experiments.
rule continual_features:
    input:
        data=get_step_data,
    output:
        f"results/{{protocol}}/{STEP_FEATURES}.safetensors",
    log:
        f"results/{{protocol}}/logs/{STEP_FEATURES}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/{STEP_FEATURES}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS["pretrain"]
    resources:
        **GPU_JOB | {"mem_mb": step_megabytes},
    params:
        recipe=lambda w: CONFIG.recipe(
            "features", step_of(w).dataset, network=w.network
        ),
        precision=PRECISION,
        prepared=get_step_prepared,
        dataset=lambda w: step_of(w).dataset,
        view=get_step_view,
    shell:
        job(
            "pretrain",
            " --data {params.dataset} --prepared {params.prepared:q} {params.view}"
            " --network {wildcards.network} --seed {wildcards.order}",
        )


rule continual_memory:
    input:
        data=get_step_data,
        needed=get_needed,
    output:
        f"results/{{protocol}}/continual/{MEMORY}/step{{step}}.safetensors",
    log:
        f"results/{{protocol}}/logs/continual/{MEMORY}/step{{step}}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/continual/{MEMORY}/step{{step}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS["condense"]
    resources:
        **GPU_JOB | {"mem_mb": step_megabytes},
    params:
        method=get_step_method,
        precision=PRECISION,
        prepared=get_step_prepared,
        dataset=lambda w: step_of(w).dataset,
        view=get_step_view,
        trained=get_trained,
    shell:
        job(
            "condense",
            " --data {params.dataset} --prepared {params.prepared:q} {params.view}"
            " --method {wildcards.method} --network {wildcards.network} --ipc {wildcards.ipc} --seed {wildcards.order}"
            " {params.trained}",
        )


MEMORY_FILE = f"results/{{protocol}}/continual/{MEMORY}/accuracy.parquet"


rule continual_accuracy:
    input:
        data=unless_made(MEMORY_FILE, of_memory_rows, get_task_data),
        memory=unless_made(MEMORY_FILE, of_memory_rows, get_memory_files),
    output:
        MEMORY_FILE,
    log:
        f"results/{{protocol}}/logs/continual/{MEMORY}/accuracy.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/continual/{MEMORY}/accuracy.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS["evaluate"]
    resources:
        **GPU_JOB | {"mem_mb": step_megabytes},
    params:
        recipes=get_task_recipes,
        precision=PRECISION,
        prepared=lambda w: [f"{DATA}/prepared/{d}" for d in get_task_names(w)],
        datasets=get_task_names,
        script=get_learning_script,
        view=get_learning_view,
        networks=lambda w: memories.networks(CONFIG, memory_id(w)),
    shell:
        job(
            "{params.script}",
            "{params.view} --data {params.datasets} --prepared {params.prepared:q} --memory {input.memory}"
            " --network {wildcards.network} --networks {params.networks}",
        )


rule continual_report:
    input:
        settings=asked(get_memory_rows),
        rows=get_memory_rows,
        published=f"{SETTINGS}/published/continual.csv",
    output:
        **table_outputs("continual"),
        **figure_outputs("continual"),
        settings=SETTINGS_FILE,
    log:
        "results/{protocol}/logs/tables/{target}.log",
    benchmark:
        "results/{protocol}/benchmarks/tables/{target}.tsv"
    wildcard_constraints:
        target=named(target_kinds.Memories),
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        **REPORT_JOB | {"mem_mb": 4000},
    params:
        **TARGET,
        table=subpath(output.csv, strip_suffix=".csv"),
        figure=subpath(output.png, strip_suffix=".png"),
    shell:
        target_script(
            "continual_report",
            " --target {wildcards.target} --protocol {wildcards.protocol}"
            " --rows {input.rows} --out-table {params.table} --out-figure {params.figure}",
        )
