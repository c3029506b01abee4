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
        content=content,
        raw=f"{DATA}/raw",
        folder=subpath(output[0], parent=True),
    shell:
        "python scripts/prepare.py --data {wildcards.dataset} --raw {params.raw} --out {params.folder} > {log} 2>&1"


rule pretrain:
    input:
        data=f"{DATA}/prepared/{{dataset}}/info.json",
    output:
        "results/{protocol}/features/{dataset}/{network}/seed{seed}.safetensors",
    log:
        "results/{protocol}/logs/features/{dataset}/{network}/seed{seed}.log",
    benchmark:
        "results/{protocol}/benchmarks/features/{dataset}/{network}/seed{seed}.tsv"
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
        "python scripts/pretrain.py --data {wildcards.dataset} --prepared {params.prepared}"
        " --network {wildcards.network} --seed {wildcards.seed}"
        " --protocol {wildcards.protocol} --precision {params.precision} --device {resources.device}"
        " --threads {threads} --out {output} > {log} 2>&1"
