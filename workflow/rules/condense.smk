SET_FILE = f"results/{{protocol}}/synthetic/{SET}.safetensors"


# A job condenses a complete set or, for data sets that are split (classes_per_job), some of its classes.
rule condense:
    input:
        data=unless_made(SET_FILE, of_set, get_data),
        needed=unless_made(SET_FILE, of_set, get_needed),
    output:
        SET_FILE,
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
        **GPU_JOB,
        turn=1,
    params:
        method=get_method,
        precision=PRECISION,
        prepared=get_prepared,
        options="",
        trained=get_trained,
    shell:
        job(
            "condense",
            " --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --method {wildcards.method} --network {wildcards.network} --ipc {wildcards.ipc} --seed {wildcards.seed}"
            " {params.options} {params.trained}",
        )
