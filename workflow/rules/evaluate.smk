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
        mem_mb=megabytes,
        runtime=minutes,
        gpu=GPU,
        device=DEVICE,
        turn=1,
    params:
        recipe=recipe,
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
        networks=CONFIG.spec["networks"],
    shell:
        "python scripts/evaluate.py --synthetic {input.synthetic} --data {wildcards.dataset} --prepared {params.prepared}"
        " --network {wildcards.evaluation} --recipe {wildcards.recipe} --networks {params.networks}"
        " --protocol {wildcards.protocol} --precision {params.precision} --device {resources.device}"
        " --threads {threads} --out {output} > {log} 2>&1"


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
        mem_mb=megabytes,
        runtime=minutes,
        gpu=GPU,
        device=DEVICE,
    params:
        recipe=recipe,
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
    shell:
        "python scripts/evaluate.py --whole --data {wildcards.dataset} --prepared {params.prepared}"
        " --network {wildcards.evaluation} --recipe {wildcards.recipe} --seed {wildcards.seed}"
        " --protocol {wildcards.protocol} --precision {params.precision} --device {resources.device}"
        " --threads {threads} --out {output} > {log} 2>&1"
