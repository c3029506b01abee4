# Snapshots for a figure of trajectories are condensed in separate jobs: the time of a table's set may be spread over
# several jobs, or unknown because the set was fetched.
use rule condense as trajectory with:
    input:
        data=get_data,
        needed=get_needed,
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


SNAPSHOT_FILE = f"results/{{protocol}}/trajectory_accuracy/{SET}/step{{step}}/{{recipe}}-{{evaluation}}.parquet"


rule evaluate_snapshot:
    input:
        data=unless_made(SNAPSHOT_FILE, of_rows, get_data),
        sets=unless_made(SNAPSHOT_FILE, of_rows, get_trajectory),
    output:
        SNAPSHOT_FILE,
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
        prepared=get_prepared,
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
        settings=asked(get_snapshot_rows),
        rows=get_snapshot_rows,
        published=PUBLISHED,
    output:
        **figure_outputs("trajectories"),
        csv="results/{protocol}/figures/{target}.csv",
        md="results/{protocol}/figures/{target}.md",
        settings=SETTINGS_FILE,
    log:
        "results/{protocol}/logs/figures/{target}.log",
    benchmark:
        "results/{protocol}/benchmarks/figures/{target}.tsv"
    wildcard_constraints:
        target=named(target_kinds.Trajectories),
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        **REPORT_JOB,
    params:
        **TARGET,
        prefix=subpath(output.png, strip_suffix=".png"),
        folder=f"{RESULTS}/trajectory_accuracy",  # too many paths for a command line
    shell:
        target_script(
            "trajectory",
            " --figure {wildcards.target} --protocol {wildcards.protocol} --rows {params.folder:q}"
            " --out-prefix {params.prefix}",
        )
