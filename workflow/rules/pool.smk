# Trained networks to condense with: docs/targets/table4.md. A pool is of one data set and network, in parts.
rule pool:
    input:
        data=f"{DATA}/prepared/{{dataset}}/info.json",
    output:
        "results/{protocol}/pool/{dataset}/{network}/{part}.safetensors",
    log:
        "results/{protocol}/logs/pool/{dataset}/{network}/{part}.log",
    benchmark:
        "results/{protocol}/benchmarks/pool/{dataset}/{network}/{part}.tsv"
    wildcard_constraints:
        part=r"\d+-of-\d+",
    conda:
        "../../environment.yml"
    threads: THREADS["pretrain"]
    resources:
        mem_mb=megabytes,
        runtime=minutes,
        gpu=GPU,
        device=DEVICE,
    params:
        recipe=lambda w: CONFIG.recipe("pool", w.dataset, network=w.network),
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
        plan=(POOL.networks, POOL.states, POOL.split),
    shell:
        "python scripts/pool.py --data {wildcards.dataset} --prepared {params.prepared}"
        " --network {wildcards.network} --part {wildcards.part}"
        " --protocol {wildcards.protocol} --precision {params.precision} --device {resources.device}"
        " --threads {threads} --out {output} > {log} 2>&1"
