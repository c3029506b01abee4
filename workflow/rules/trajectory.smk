# What figure 4 follows is condensed in jobs of its own: the time of a set that table 1 has may be that of several
# jobs, or unknown because the set was fetched.
from condensery.experiment.trajectories import steps_of


use rule condense as trajectory with:
    output:
        directory(f"results/{{protocol}}/trajectories/{SET}"),
    log:
        f"results/{{protocol}}/logs/trajectories/{SET}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/trajectories/{SET}.tsv"
    group:
        short("trajectory")
    params:
        options=lambda w: f"--snapshots {','.join(map(str, steps_of(CONFIG, w)))}",


rule evaluate_snapshot:
    input:
        data=f"{DATA}/prepared/{{dataset}}/info.json",
        sets=f"results/{{protocol}}/trajectories/{SET}",
    output:
        f"results/{{protocol}}/trajectory_accuracy/{SET}/step{{step}}/{{recipe}}-{{evaluation}}.parquet",
    log:
        f"results/{{protocol}}/logs/trajectory_accuracy/{SET}/step{{step}}/{{recipe}}-{{evaluation}}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/trajectory_accuracy/{SET}/step{{step}}/{{recipe}}-{{evaluation}}.tsv"
    group:
        short("evaluate_snapshot")
    conda:
        "../../environment.yml"
    threads: THREADS["evaluate"]
    resources:
        **GPU_JOB,
        turn=1,
    params:
        recipe=get_recipe,
        precision=PRECISION,
        prepared=subpath(input.data, parent=True),
        networks=CONFIG.spec["networks"],
    shell:
        job(
            "evaluate",
            " --synthetic {input.sets}/step{wildcards.step}.safetensors"
            " --data {wildcards.dataset} --prepared {params.prepared:q} --network {wildcards.evaluation}"
            " --recipe {wildcards.recipe} --networks {params.networks}",
        )


rule figure_of_trajectories:
    input:
        rows=lambda w: SNAPSHOT_ROWS,
        published=f"{SETTINGS}/published/cost.csv",
    output:
        png=report(
            "results/{protocol}/figures/figure4.png",
            caption="../report/figure4.rst",
            category="Figures",
            labels={"protocol": "{protocol}", "figure": "figure4", "format": "PNG"},
        ),
        pdf="results/{protocol}/figures/figure4.pdf",
        csv="results/{protocol}/figures/figure4.csv",
        md="results/{protocol}/figures/figure4.md",
    log:
        "results/{protocol}/logs/figures/figure4.log",
    benchmark:
        "results/{protocol}/benchmarks/figures/figure4.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        labels=LABELS,
        prefix=subpath(output.png, strip_suffix=".png"),
        folder=f"{RESULTS}/trajectory_accuracy",  # too many for a command line
    shell:
        script(
            "trajectory",
            " --protocol {wildcards.protocol} --rows {params.folder:q}"
            " --out-prefix {params.prefix}",
        )
