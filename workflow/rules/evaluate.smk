ROWS_FILE = f"results/{{protocol}}/accuracy/{SET}/{{recipe}}-{{evaluation}}.parquet"
WHOLE_FILE = "results/{protocol}/accuracy/{dataset}/whole/{recipe}-{evaluation}/seed{seed}.parquet"


rule evaluate:
    input:
        data=unless_made(ROWS_FILE, of_rows, get_data),
        synthetic=unless_made(ROWS_FILE, of_rows, get_set),
    output:
        ROWS_FILE,
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
        prepared=get_prepared,
        networks=CONFIG.spec["networks"],
    shell:
        job(
            "evaluate",
            " --synthetic {input.synthetic} --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --network {wildcards.evaluation} --recipe {wildcards.recipe} --networks {params.networks}",
        )


rule evaluate_whole:
    input:
        data=unless_made(WHOLE_FILE, of_whole_rows, get_data),
    output:
        WHOLE_FILE,
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
        prepared=get_prepared,
    shell:
        job(
            "evaluate",
            " --whole --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --network {wildcards.evaluation} --recipe {wildcards.recipe} --seed {wildcards.seed}",
        )
