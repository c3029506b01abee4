rule prepare:
    output:
        f"{DATA}/prepared/{{dataset}}/info.json",
    log:
        f"{RESULTS}/logs/prepare/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare/{{dataset}}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS["prepare"]
    resources:
        mem_mb=2000,
        runtime=240,
    params:
        content=get_content,
        raw=f"{DATA}/raw",
        folder=subpath(output[0], parent=True),
    shell:
        script(
            "prepare",
            " --data {wildcards.dataset} --raw {params.raw:q} --out {params.folder:q}",
        )


rule pretrain:
    input:
        data=get_data,
    output:
        f"results/{{protocol}}/{FEATURES}.safetensors",
    log:
        f"results/{{protocol}}/logs/{FEATURES}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/{FEATURES}.tsv"
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
            "pretrain",
            " --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --network {wildcards.network} --seed {wildcards.seed}",
        )
