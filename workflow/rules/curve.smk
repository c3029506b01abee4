rule curve:
    input:
        rows=get_rows,
        published=sorted(map(str, (SETTINGS / "published").glob("*.csv"))),
    output:
        png=report(
            "results/{protocol}/figures/{curve}.png",
            caption="../report/curve.rst",
            category="Figures",
            labels={"protocol": "{protocol}", "figure": "{curve}", "format": "PNG"},
        ),
        pdf="results/{protocol}/figures/{curve}.pdf",
    log:
        "results/{protocol}/logs/figures/{curve}.log",
    benchmark:
        "results/{protocol}/benchmarks/figures/{curve}.tsv"
    conda:
        "../../environment.yml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        labels=LABELS,
        prefix=subpath(output.png, strip_suffix=".png"),
        folder=f"{RESULTS}/accuracy",
    shell:
        script(
            "curve",
            " --figure {wildcards.curve} --protocol {wildcards.protocol}"
            " --rows {params.folder:q} --only-target --out {params.prefix}",
        )
