# What figure 4 follows is condensed in jobs of its own: the time of a set that table 1 has may be that of several
# jobs, or unknown because the set was fetched.
from condensery.experiment.trajectories import RECIPE, steps_of, trajectories

SNAPSHOT_ROWS = [
    f"{RESULTS}/trajectory_accuracy/{SET.format(**s._asdict())}/step{step}/{RECIPE}-{s.network}.parquet"
    for s, steps in trajectories(CONFIG).items()
    for step in steps
]


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
        classes=lambda w: f"--snapshots {','.join(map(str, steps_of(CONFIG, w)))}",  # of all classes


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
        "python scripts/evaluate.py --synthetic {input.sets}/step{wildcards.step}.safetensors"
        " --data {wildcards.dataset} --prepared {params.prepared} --network {wildcards.evaluation}"
        " --recipe {wildcards.recipe} --networks {params.networks} --protocol {wildcards.protocol}"
        " --precision {params.precision} --device {resources.device} --threads {threads} --out {output} > {log} 2>&1"


rule figure_of_trajectories:
    input:
        rows=lambda w: SNAPSHOT_ROWS,
        published="config/published/cost.csv",
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
        "python scripts/trajectory.py --protocol {wildcards.protocol} --rows {params.folder}"
        " --out-prefix {params.prefix} > {log} 2>&1"
