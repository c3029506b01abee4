# Networks before and after their training, to condense with between the two: docs/methods.md. Of one data set and network,
# in parts.
rule pairs:
    input:
        data=get_data,
    output:
        f"results/{{protocol}}/{PAIRED}.safetensors",
    log:
        f"results/{{protocol}}/logs/{PAIRED}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/{PAIRED}.tsv"
    wildcard_constraints:
        part=r"\d+-of-\d+",
    conda:
        "../../environment.yml"
    threads: THREADS["pretrain"]
    resources:
        **GPU_JOB,
    params:
        recipe=lambda w: CONFIG.recipe("teacher", w.dataset, network=w.network),
        precision=PRECISION,
        prepared=get_prepared,
        plan=CONFIG.pairs.networks,
    shell:
        job(
            "pairs",
            " --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --network {wildcards.network} --part {wildcards.part}",
        )
