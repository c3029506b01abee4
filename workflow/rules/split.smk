# Sets of the data sets that are split (classes_per_job): some classes per job, then gathered.
ruleorder: gather > condense


use rule condense as condense_classes with:
    input:
        data=get_data,
        needed=get_needed,
    output:
        temp(f"results/{{protocol}}/synthetic/{PART}.safetensors"),
    log:
        f"results/{{protocol}}/logs/synthetic/{PART}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/synthetic/{PART}.tsv"
    group:
        short("condense_classes")
    params:
        options=lambda w: f"--classes {w.shard}",


rule gather:
    input:
        unless_made(SET_FILE, of_set, get_shards),
    output:
        SET_FILE,
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
        script(
            "gather",
            " {input} --out {output}",
            configured=False,
        )
