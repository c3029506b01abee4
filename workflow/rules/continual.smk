# Continual learning: docs/targets has the experiments, memories.smk the paths and what each step sees.
rule continual_features:
    input:
        data=step_data,
    output:
        f"results/{{protocol}}/continual/{FEATURES}.safetensors",
    log:
        f"results/{{protocol}}/logs/continual/{FEATURES}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/continual/{FEATURES}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS["pretrain"]
    resources:
        mem_mb=step_megabytes,
        runtime=minutes,
        gpu=GPU,
        device=DEVICE,
    params:
        recipe=lambda w: CONFIG.recipe(
            "features", step_of(w).dataset, network=w.network
        ),
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
        dataset=lambda w: step_of(w).dataset,
        view=step_view,
    shell:
        "python scripts/pretrain.py --data {params.dataset} --prepared {params.prepared} {params.view}"
        " --network {wildcards.network} --seed {wildcards.order}"
        " --protocol {wildcards.protocol} --precision {params.precision} --device {resources.device}"
        " --threads {threads} --out {output} > {log} 2>&1"


rule continual_memory:
    input:
        data=step_data,
        features=step_features,
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
        mem_mb=step_megabytes,
        runtime=minutes,
        gpu=GPU,
        device=DEVICE,
    params:
        method=step_method,
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
        dataset=lambda w: step_of(w).dataset,
        view=step_view,
        features=lambda w, input: (
            f"--features {input.features}" if input.features else ""
        ),
    shell:
        "python scripts/condense.py --data {params.dataset} --prepared {params.prepared} {params.view}"
        " --method {wildcards.method} --network {wildcards.network} --ipc {wildcards.ipc} --seed {wildcards.order}"
        " --protocol {wildcards.protocol} --precision {params.precision} --device {resources.device}"
        " --threads {threads} {params.features} --out {output} > {log} 2>&1"


rule continual_accuracy:
    input:
        data=lambda w: [f"{DATA}/prepared/{d}/info.json" for d in task_names(w)],
        memory=memory_files,
    output:
        f"results/{{protocol}}/continual/{MEMORY}/accuracy.parquet",
    log:
        f"results/{{protocol}}/logs/continual/{MEMORY}/accuracy.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/continual/{MEMORY}/accuracy.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS["evaluate"]
    resources:
        mem_mb=step_megabytes,
        runtime=minutes,
        gpu=GPU,
        device=DEVICE,
    params:
        recipes=task_recipes,
        precision=PRECISION,
        prepared=lambda w: [f"{DATA}/prepared/{d}" for d in task_names(w)],
        datasets=task_names,
        learning=learning,
        networks=lambda w: memories.networks(CONFIG, memory_id(w)),
    shell:
        "python {params.learning} --data {params.datasets} --prepared {params.prepared} --memory {input.memory}"
        " --network {wildcards.network} --networks {params.networks}"
        " --protocol {wildcards.protocol} --precision {params.precision} --device {resources.device}"
        " --threads {threads} --out {output} > {log} 2>&1"


rule continual_report:
    input:
        rows=lambda w: memory_rows(w.continual),
        published="config/published/continual.csv",
    output:
        csv="results/{protocol}/tables/{continual}.csv",
        md=report(
            "results/{protocol}/tables/{continual}.md",
            caption="../report/continual.rst",
            category="Tables",
            labels={
                "protocol": "{protocol}",
                "table": "{continual}",
                "format": "Markdown",
            },
        ),
        tex="results/{protocol}/tables/{continual}.tex",
        json="results/{protocol}/tables/{continual}.json",
        png=report(
            "results/{protocol}/figures/{continual}.png",
            caption="../report/continual.rst",
            category="Figures",
            labels={
                "protocol": "{protocol}",
                "figure": "{continual}",
                "format": "PNG",
            },
        ),
        pdf="results/{protocol}/figures/{continual}.pdf",
    log:
        "results/{protocol}/logs/tables/{continual}.log",
    benchmark:
        "results/{protocol}/benchmarks/tables/{continual}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        labels=LABELS,
        table=subpath(output.csv, strip_suffix=".csv"),
        figure=subpath(output.png, strip_suffix=".png"),
    shell:
        "python scripts/continual_report.py --target {wildcards.continual} --protocol {wildcards.protocol}"
        " --rows {input.rows} --out-table {params.table} --out-figure {params.figure} > {log} 2>&1"


for target in CONTINUAL:

    rule:
        name:
            target
        input:
            expand(
                f"{RESULTS}/{{file}}",
                file=[f"tables/{target}.{kind}" for kind in TABLE_FILES]
                + [f"figures/{target}.{kind}" for kind in ("png", "pdf")],
            ),
        localrule: True
