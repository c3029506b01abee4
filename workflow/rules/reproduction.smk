rule reproduction:
    input:
        published=PUBLISHED,
    output:
        csv="results/reproduction.csv",
        md="results/reproduction.md",
        png=report(
            "results/reproduction.png",
            caption="../report/reproduction.rst",
            category="Figures",
            labels={
                "protocol": "all",
                "figure": "reproduction",
                "format": "PNG",
            },
        ),
        pdf="results/reproduction.pdf",
    log:
        "results/logs/reproduction.log",
    benchmark:
        "results/benchmarks/reproduction.tsv"
    conda:
        "../../environment.yml"
    resources:
        **REPORT_JOB,
    params:
        rows=row_digest,
        prefix=subpath(output.csv, strip_suffix=".csv"),
    shell:
        script("reproduction", " --out {params.prefix}")
