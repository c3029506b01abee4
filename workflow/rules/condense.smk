# One job makes a whole set or, of the data sets that are split (classes_per_job), some of its classes.
rule condense:
    input:
        data=f"{DATA}/prepared/{{dataset}}/info.json",
        features=get_features,
        pool=get_pool,
        generator=get_generator,
    output:
        f"results/{{protocol}}/synthetic/{SET}.safetensors",
    log:
        f"results/{{protocol}}/logs/synthetic/{SET}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/synthetic/{SET}.tsv"
    group:
        short("condense")
    conda:
        "../../environment.yml"
    threads: THREADS["condense"]
    resources:
        **GPU_JOB,
        turn=1,
    params:
        method=get_method,
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
        options="",
        features=lambda w, input: (
            f"--features {input.features}" if input.features else ""
        ),
        pool=lambda w, input: f"--pool {input.pool}" if input.pool else "",
        generator=lambda w, input: (
            f"--generator {input.generator}" if input.generator else ""
        ),
    shell:
        job(
            "condense",
            " --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --method {wildcards.method} --network {wildcards.network} --ipc {wildcards.ipc} --seed {wildcards.seed}"
            " {params.options} {params.features} {params.pool} {params.generator}",
        )
