#!/usr/bin/env bash
# Everything that wants a GPU, in one go: the benchmark, the comparison with the authors' code, the precision
# study, and DM on CIFAR-10 with 50 images per class in every precision. Needs PyTorch with CUDA and the other
# packages of pyproject.toml, neither Snakemake nor DVC nor an installed condensery.
#
#   benchmarks/gpu.sh [--minutes N] [--reference DIR] [--prepared DIR] [--out DIR] [--quick] [PART...]
#
#   --minutes N      stop after N minutes with everything saved; the same command goes on from there
#   --reference DIR  checkout of VICO-UoE/DatasetCondensation; without it that comparison is left out
#   --prepared DIR   prepared data sets (data/prepared); scripts/prepare.py --data cifar10 makes what is needed
#   --out DIR        where results go (benchmarks/results/<device>)
#   --quick          tiny sizes, on any machine, to see that it works
#   --check          measure nothing, but check in less than five minutes that the GPU computes what the CPU does;
#                    benchmarks/gpu_check.py, docs/gpu.md
#   PART...          of: bench reference precision ipc50 (all, in this order)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

die() { echo "error: $*" >&2; exit 1; }

minutes='' reference='' prepared=$root/data/prepared out='' quick='' check='' parts=()
while (($#)); do
    case $1 in
        --minutes | --reference | --prepared | --out)
            (($# > 1)) || die "$1: give its value"
            declare "${1#--}=$2"
            shift 2
            ;;
        --quick) quick=--quick && shift ;;
        --check) check=yes && shift ;;
        bench | reference | precision | ipc50) parts+=("$1") && shift ;;
        *) die "$1: unknown; the head of benchmarks/gpu.sh says what it takes" ;;
    esac
done
((${#parts[@]})) || parts=(bench reference precision ipc50)
[[ -z $minutes || $minutes =~ ^[0-9]+$ ]] || die "--minutes $minutes: give a whole number"
[[ -n $quick ]] || python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' ||
    die "PyTorch sees no GPU here; --quick tries the parts without"
# shellcheck disable=SC2086  # none or one word
[[ -z $check ]] || exec python3 "$root/benchmarks/gpu_check.py" $quick

# What is left of the time, as the option of the scripts.
left() {
    [[ -z $minutes ]] || echo "--minutes $(awk "BEGIN {m = $minutes - $SECONDS / 60; print (m > 0.01 ? m : 0.01)}")"
}

# Run a script with its own results folder, below --out if that is given.
run() {
    local script=$1 folder=$2
    shift 2
    echo "== $script $*"
    # shellcheck disable=SC2046  # two words
    python3 "$root/benchmarks/$script" "$@" $(left) ${out:+--out "$out$folder"}
}

for part in "${parts[@]}"; do
    case $part in
        bench) run bench.py "" --resume $quick ;;
        reference)
            given=()
            [[ -z $quick && -e $prepared/cifar10/info.json ]] && given=(--data "$prepared/cifar10")
            if [[ -z $reference ]]; then
                echo "== reference: left out, no --reference given"
            else
                run against_reference.py "" --reference "$reference" --resume $quick "${given[@]}"
            fi
            ;;
        precision | ipc50)
            case $quick$part in
                --quick*) study=tiny ;;
                precision) study=medium ;;
                ipc50) study=ipc50 ;;
            esac
            run precision.py "/precision-$study" --study "$study" --prepared "$prepared"
            ;;
    esac
done
