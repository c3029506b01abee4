# Figure 3: sets of several methods in one map with real images.
from condensery.experiment.plans import EMBEDDING_SEED


rule embedding:
    input:
        data=f"{DATA}/prepared/{MAP.dataset}/info.json",
        features=f"{RESULTS}/{FEATURES}.safetensors".format(
            dataset=MAP.dataset, network=MAP.network, seed=EMBEDDING_SEED
        ),
        sets=[*map(set_path, MAP.sets)],
    output:
        png=report(
            "results/{protocol}/figures/figure3.png",
            caption="../report/figure3.rst",
            category="Figures",
            labels={
                "protocol": "{protocol}",
                "figure": "figure3",
                "format": "PNG",
            },
        ),
        pdf="results/{protocol}/figures/figure3.pdf",
        csv="results/{protocol}/figures/figure3.csv",
    log:
        "results/{protocol}/logs/figures/figure3.log",
    benchmark:
        "results/{protocol}/benchmarks/figures/figure3.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS["evaluate"]
    resources:
        mem_mb=6000,
        runtime=60,
    params:
        labels=LABELS,
        map=MAP,
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
    shell:
        script(
            "embedding",
            " --data {params.map.dataset} --prepared {params.prepared:q}"
            " --network {params.map.network} --features {input.features} --sets {input.sets}"
            " --classes {params.map.classes} --real-images {params.map.real_images}"
            " --protocol {wildcards.protocol} --device cpu"
            " --threads {threads} --out {output.png}",
        )
