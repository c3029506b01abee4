# The architecture search. Its networks are also tested; no selection depends on these tests.
TABLE = CONFIG.listed(target_kinds.SearchTable)[0]
FIGURE = CONFIG.listed(target_kinds.SearchFigure)[0]
PROXY_FILE = f"results/{{protocol}}/search/synthetic/{SET}.safetensors"
TRAINED_FILE = "results/{protocol}/search/accuracy/{dataset}/{candidate}/{part}.parquet"
CHOSEN_FILE = "results/{protocol}/search/chosen/{dataset}.parquet"


use rule condense as condense_proxy with:
    input:
        data=unless_made(PROXY_FILE, of_set, get_data),
        needed=get_needed,
    output:
        PROXY_FILE,
    log:
        f"results/{{protocol}}/logs/search/synthetic/{SET}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/search/synthetic/{SET}.tsv"
    group:
        short("condense_proxy")
    params:
        options="--for-search",
        split=SEARCH.split,


rule search:
    input:
        data=unless_made(TRAINED_FILE, of_search_rows, get_data),
        proxy=unless_made(TRAINED_FILE, of_search_rows, get_proxy),
    output:
        TRAINED_FILE,
    log:
        "results/{protocol}/logs/search/accuracy/{dataset}/{candidate}/{part}.log",
    benchmark:
        "results/{protocol}/benchmarks/search/accuracy/{dataset}/{candidate}/{part}.tsv"
    wildcard_constraints:
        candidate="|".join(NAMES),
        part=r"\d+-of-\d+",
    conda:
        "../../environment.yml"
    threads: THREADS["evaluate"]
    resources:
        **GPU_JOB,
    params:
        recipe=get_search_recipe,
        precision=PRECISION,
        prepared=get_prepared,
        networks=(SEARCH.networks, SEARCH.widths, SEARCH.repeats),
        split=SEARCH.split,
        on=get_trained_on,
    shell:
        job(
            "search",
            " {params.on} --test --data {wildcards.dataset} --prepared {params.prepared:q}"
            " --part {wildcards.part}",
        )


rule search_test:
    input:
        data=unless_made(CHOSEN_FILE, of_search_rows, get_data),
        rows=SEARCH_ROWS,
    output:
        CHOSEN_FILE,
    log:
        "results/{protocol}/logs/search/chosen/{dataset}.log",
    benchmark:
        "results/{protocol}/benchmarks/search/chosen/{dataset}.tsv"
    conda:
        "../../environment.yml"
    threads: THREADS["pretrain"]
    resources:
        **GPU_JOB,
    params:
        recipe=get_search_recipe,
        precision=PRECISION,
        prepared=get_prepared,
    shell:
        job(
            "search_test",
            " --rows {input.rows} --data {wildcards.dataset} --prepared {params.prepared:q}",
        )


CHOSEN = CHOSEN_FILE.format(protocol=PROTOCOL, dataset=SEARCH.dataset)


rule search_report:
    input:
        settings=asked(lambda w: [*SEARCH_ROWS, CHOSEN], TABLE, FIGURE),
        rows=SEARCH_ROWS,
        tests=CHOSEN,
        published=f"{SETTINGS}/published/table5_nas.csv",
    output:
        **table_outputs("search_table", TABLE),
        **figure_outputs("search_figure", FIGURE),
        settings=expand(SETTINGS_FILE, target=[TABLE, FIGURE], allow_missing=True),
    log:
        f"results/{{protocol}}/logs/tables/{TABLE}.log",
    benchmark:
        f"results/{{protocol}}/benchmarks/tables/{TABLE}.tsv"
    localrule: True
    conda:
        "../../environment.yml"
    resources:
        **REPORT_JOB,
    params:
        **TARGET,
        table=subpath(output.csv, strip_suffix=".csv"),
        figure=subpath(output.png, strip_suffix=".png"),
    shell:
        target_script(
            "search_report",
            " --protocol {wildcards.protocol} --rows {input.rows} --tests {input.tests}"
            " --out-table {params.table} --out-figure {params.figure}",
        )
