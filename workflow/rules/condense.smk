# One job makes a whole set or, of the data sets that are split (classes_per_job), some of its classes.
rule condense:
    input:
        data=f"{DATA}/prepared/{{dataset}}/info.json",
        features=features,
        pool=pool,
        generator=generator,
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
        mem_mb=megabytes,
        runtime=minutes,
        gpu=GPU,
        device=DEVICE,
        turn=1,
    params:
        method=method,
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
        classes="",
        features=lambda w, input: (
            f"--features {input.features}" if input.features else ""
        ),
        pool=lambda w, input: f"--pool {input.pool}" if input.pool else "",
        generator=lambda w, input: (
            f"--generator {input.generator}" if input.generator else ""
        ),
    shell:
        "python scripts/condense.py --data {wildcards.dataset} --prepared {params.prepared}"
        " --method {wildcards.method} --network {wildcards.network} --ipc {wildcards.ipc} --seed {wildcards.seed}"
        " --protocol {wildcards.protocol} --precision {params.precision} --device {resources.device}"
        " --threads {threads} {params.classes} {params.features} {params.pool} {params.generator}"
        " --out {output} > {log} 2>&1"


if SPLIT:

    ruleorder: gather > condense

    use rule condense as condense_classes with:
        output:
            temp(f"results/{{protocol}}/synthetic/{PART}.safetensors"),
        log:
            f"results/{{protocol}}/logs/synthetic/{PART}.log",
        benchmark:
            f"results/{{protocol}}/benchmarks/synthetic/{PART}.tsv"
        group:
            short("condense_classes")
        params:
            classes=lambda w: f"--classes {w.shard}",

    rule gather:
        input:
            shards,
        output:
            f"results/{{protocol}}/synthetic/{SET}.safetensors",
        log:
            f"results/{{protocol}}/logs/gather/{SET}.log",
        benchmark:
            f"results/{{protocol}}/benchmarks/gather/{SET}.tsv"
        wildcard_constraints:
            dataset="|".join(SPLIT),
        conda:
            "../../environment.yml"
        resources:
            mem_mb=megabytes,
            runtime=10,
        shell:
            "python scripts/gather.py {input} --out {output} > {log} 2>&1"
