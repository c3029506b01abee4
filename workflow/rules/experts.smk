# Networks whose training mtt matches: docs/methods.md. Experts are of one data set and network, in parts.
rule experts:
    input:
        data=get_data,
    output:
        f"results/{{protocol}}/{EXPERT}.safetensors",
    log:
        f"results/{{protocol}}/logs/{EXPERT}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/{EXPERT}.tsv"
    wildcard_constraints:
        part=r"\d+-of-\d+",
    conda:
        "../../environment.yml"
    threads: THREADS["pretrain"]
    resources:
        **GPU_JOB,
    params:
        recipe=lambda w: CONFIG.recipe("expert", w.dataset, network=w.network),
        precision=PRECISION,
        prepared=get_prepared,
        epochs=lambda w: CONFIG.expert_epochs(w.dataset, w.network),
        networks=EXPERTS.networks,
    shell:
        job(
            "experts",
            " --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --network {wildcards.network} --part {wildcards.part} --epochs {params.epochs}",
        )
