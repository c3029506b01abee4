rule evaluate:
    input:
        data=f"{DATA}/prepared/{{dataset}}/info.json",
        synthetic=f"results/{{protocol}}/synthetic/{SET}.safetensors",
    output:
        f"results/{{protocol}}/accuracy/{SET}/{{recipe}}-{{evaluation}}.parquet",
    log:
        f"results/{{protocol}}/logs/accuracy/{SET}/{{recipe}}-{{evaluation}}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/accuracy/{SET}/{{recipe}}-{{evaluation}}.tsv"
    group:
        short("evaluate")
    conda:
        "../../environment.yml"
    threads: THREADS["evaluate"]
    resources:
        **GPU_JOB,
        turn=1,
    params:
        recipe=get_recipe,
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
        networks=CONFIG.spec["networks"],
    shell:
        job(
            "evaluate",
            " --synthetic {input.synthetic} --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --network {wildcards.evaluation} --recipe {wildcards.recipe} --networks {params.networks}",
        )


rule evaluate_whole:
    input:
        data=f"{DATA}/prepared/{{dataset}}/info.json",
    output:
        "results/{protocol}/accuracy/{dataset}/whole/{recipe}-{evaluation}/seed{seed}.parquet",
    log:
        "results/{protocol}/logs/accuracy/{dataset}/whole/{recipe}-{evaluation}/seed{seed}.log",
    benchmark:
        "results/{protocol}/benchmarks/accuracy/{dataset}/whole/{recipe}-{evaluation}/seed{seed}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS["pretrain"]
    resources:
        **GPU_JOB,
    params:
        recipe=get_recipe,
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
    shell:
        job(
            "evaluate",
            " --whole --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --network {wildcards.evaluation} --recipe {wildcards.recipe} --seed {wildcards.seed}",
        )
