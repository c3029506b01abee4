# The generators of the methods that sample from one: each serves the sets of all sizes with its seed.
rule generator:
    input:
        data=f"{DATA}/prepared/{{dataset}}/info.json",
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
        mem_mb=megabytes,
        runtime=minutes,
        gpu=GPU,
        device=DEVICE,
    params:
        method=lambda w: CONFIG.generator_parameters(w.dataset, w.method),
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
    shell:
        "python scripts/train_generator.py --data {wildcards.dataset} --prepared {params.prepared}"
        " --method {wildcards.method} --seed {wildcards.seed}"
        " --protocol {wildcards.protocol} --precision {params.precision} --device {resources.device}"
        " --threads {threads} --out {output} > {log} 2>&1"
