# Networks that are trained beforehand, for all sets of a data set and network: docs/methods.md. Each job trains a part.
# Rule -> the recipe, other parameters on which the networks depend, and options of the command.
TRAINED = {}
if POOL:
    plan = {"plan": (POOL.networks, POOL.states, POOL.split)}
    TRAINED["pool"] = (plans.POOL_RECIPE, plan, "")
if CONFIG.pairs:
    TRAINED["pairs"] = (plans.PAIRS_RECIPE, {"plan": CONFIG.pairs.networks}, "")
if EXPERTS:
    plan = {
        "epochs": lambda w: CONFIG.expert_epochs(w.dataset, w.network),
        "networks": EXPERTS.networks,
    }
    TRAINED["experts"] = (plans.EXPERT_RECIPE, plan, " --epochs {params.epochs}")

for rule_name, (recipe, plan, options) in TRAINED.items():
    path = NEEDS[rule_name].path

    rule:
        name:
            rule_name
        input:
            data=get_data,
        output:
            f"results/{{protocol}}/{path}.safetensors",
        log:
            f"results/{{protocol}}/logs/{path}.log",
        benchmark:
            f"results/{{protocol}}/benchmarks/{path}.tsv"
        wildcard_constraints:
            part=r"\d+-of-\d+",
        conda:
            "../../environment.yml"
        threads: THREADS["pretrain"]
        resources:
            **GPU_JOB,
        params:
            **plan,
            recipe=lambda w, recipe=recipe: CONFIG.recipe(
                recipe, w.dataset, network=w.network
            ),
            precision=PRECISION,
            prepared=get_prepared,
        shell:
            job(
                rule_name,
                " --data {wildcards.dataset} --prepared {params.prepared:q}"
                f" --network {{wildcards.network}} --part {{wildcards.part}}{options}",
            )
