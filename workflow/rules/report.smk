LABELS = [CONFIG.spec["description"], *(m["title"] for m in CONFIG.methods.values())]


rule table:
    input:
        rows=get_rows,
        published=sorted(map(str, (SETTINGS / "published").glob("*.csv"))),
    output:
        csv="results/{protocol}/tables/{table}.csv",
        md=report(
            "results/{protocol}/tables/{table}.md",
            caption="../report/table.rst",
            category="Tables",
            labels={
                "protocol": "{protocol}",
                "table": "{table}",
                "format": "Markdown",
            },
        ),
        tex="results/{protocol}/tables/{table}.tex",
        json="results/{protocol}/tables/{table}.json",
    log:
        "results/{protocol}/logs/tables/{table}.log",
    benchmark:
        "results/{protocol}/benchmarks/tables/{table}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        labels=LABELS,
        prefix=subpath(output.csv, strip_suffix=".csv"),
        folder=f"{RESULTS}/accuracy",  # the rows of a large table do not fit a command line
    shell:
        script(
            "table",
            " --table {wildcards.table} --protocol {wildcards.protocol}"
            " --rows {params.folder:q} --only-target --out-prefix {params.prefix}",
        )


rule figure:
    input:
        sets=get_sets,
        rows=lambda w: [*map(rows_path, CONFIG.target_evaluations(w.figure))],
    output:
        png=report(
            "results/{protocol}/figures/{figure}.png",
            caption="../report/images.rst",
            category="Figures",
            labels={"protocol": "{protocol}", "figure": "{figure}", "format": "PNG"},
        ),
        pdf="results/{protocol}/figures/{figure}.pdf",
    log:
        "results/{protocol}/logs/figures/{figure}.log",
    benchmark:
        "results/{protocol}/benchmarks/figures/{figure}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=4000,
        runtime=10,
    params:
        labels=LABELS,
        prefix=subpath(output.png, strip_suffix=".png"),
    shell:
        script(
            "figure",
            " --figure {wildcards.figure} --protocol {wildcards.protocol}"
            " --sets {input.sets} --rows {input.rows} --out-prefix {params.prefix}",
        )


rule page:
    input:
        tables=expand("results/{{protocol}}/tables/{table}.csv", table=ALL_TABLES),
        figures=expand("results/{{protocol}}/figures/{figure}.png", figure=ALL_FIGURES),
    output:
        "results/{protocol}/report.html",
    log:
        "results/{protocol}/logs/report.log",
    benchmark:
        "results/{protocol}/benchmarks/report.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        labels=LABELS,
    shell:
        script(
            "report",
            " --protocol {wildcards.protocol} --tables {input.tables}"
            " --figures {input.figures} --out {output}",
        )
