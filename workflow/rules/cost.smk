# The costs of every table. Benchmarks and logs are not inputs: they change no table, and fetched results have none.
rule cost:
    input:
        "results/{protocol}/tables/{target}.csv",
    output:
        csv="results/{protocol}/tables/{target}.cost.csv",
        md=report(
            "results/{protocol}/tables/{target}.cost.md",
            caption="../report/cost.rst",
            category="Cost",
            labels={"protocol": "{protocol}", "table": "{target}"},
        ),
    log:
        "results/{protocol}/logs/cost/{target}.log",
    wildcard_constraints:
        target="|".join(ALL_TABLES) or "none",
    conda:
        "../../environment.yml"
    resources:
        **REPORT_JOB,
    params:
        prefix=subpath(output.csv, strip_suffix=".csv"),
        results=RESULTS,
    shell:
        script(
            "cost",
            " --table {wildcards.target} --protocol {wildcards.protocol}"
            " --results {params.results} --out-prefix {params.prefix}",
        )
