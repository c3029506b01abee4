# The companion of every table. Benchmarks and logs are not inputs: they change no table, and fetched results have
# none.
rule cost:
    input:
        "results/{protocol}/tables/{table}.csv",
    output:
        csv="results/{protocol}/tables/{table}.cost.csv",
        md=report(
            "results/{protocol}/tables/{table}.cost.md",
            caption="../report/cost.rst",
            category="Cost",
            labels={"protocol": "{protocol}", "table": "{table}"},
        ),
    log:
        "results/{protocol}/logs/cost/{table}.log",
    wildcard_constraints:
        table="|".join(ALL_TABLES),
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        prefix=subpath(output.csv, strip_suffix=".csv"),
        results=RESULTS,
    shell:
        script(
            "cost",
            " --table {wildcards.table} --protocol {wildcards.protocol}"
            " --results {params.results} --out-prefix {params.prefix}",
        )
