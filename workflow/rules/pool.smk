# Trained networks to condense with: docs/targets/table4.md. A pool is of one data set and network, in parts.
rule pool:
    input:
        data=get_data,
    output:
        f"results/{{protocol}}/{POOLED}.safetensors",
    log:
        f"results/{{protocol}}/logs/{POOLED}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/{POOLED}.tsv"
    wildcard_constraints:
        part=r"\d+-of-\d+",
    conda:
        "../../environment.yml"
    threads: THREADS["pretrain"]
    resources:
        **GPU_JOB,
    params:
        recipe=lambda w: CONFIG.recipe("pool", w.dataset, network=w.network),
        precision=PRECISION,
        prepared=get_prepared,
        plan=(POOL.networks, POOL.states, POOL.split),
    shell:
        job(
            "pool",
            " --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --network {wildcards.network} --part {wildcards.part}",
        )
