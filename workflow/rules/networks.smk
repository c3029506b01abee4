# Networks that are trained before condensation, for all sets of a data set and network: docs/methods.md. Each job
# trains a part. Rule -> the recipe, other parameters on which the networks depend, and further words of the command.
TRAINED = {}
if POOL:
    plan = {"plan": (POOL.networks, POOL.states, POOL.split)}
    TRAINED["pool"] = (plans.POOL_RECIPE, plan, lambda w: [])
if CONFIG.pairs:
    TRAINED["pairs"] = (
        plans.PAIRS_RECIPE,
        {"plan": CONFIG.pairs.networks},
        lambda w: [],
    )
if EXPERTS:
    TRAINED["experts"] = (
        plans.EXPERT_RECIPE,
        {"networks": EXPERTS.networks},
        lambda w: ["--epochs", CONFIG.expert_epochs(w.dataset, w.network)],
    )

# Jobs run after the loop, so that their commands must not read its variables.
for rule_name, (recipe, plan, words) in TRAINED.items():
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
            script=rule_name,
            recipe=lambda w, recipe=recipe: CONFIG.recipe(
                recipe, w.dataset, network=w.network
            ),
            precision=PRECISION,
            prepared=get_prepared,
            words=words,
        shell:
            job(
                "{params.script}",
                " --data {wildcards.dataset} --prepared {params.prepared:q}"
                " --network {wildcards.network} --part {wildcards.part} {params.words:q}",
            )
