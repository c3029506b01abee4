# The generators of methods that sample from one: each serves the sets of all sizes with its seed.
rule generator:
    input:
        data=get_data,
    output:
        f"results/{{protocol}}/{GENERATOR}.safetensors",
    log:
        f"results/{{protocol}}/logs/{GENERATOR}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/{GENERATOR}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS["pretrain"]
    resources:
        **GPU_JOB,
    params:
        method=lambda w: CONFIG.generator_parameters(w.dataset, w.method),
        precision=PRECISION,
        prepared=get_prepared,
    shell:
        job(
            "train_generator",
            " --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --method {wildcards.method} --seed {wildcards.seed}",
        )
