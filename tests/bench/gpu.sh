#!/bin/sh
# The engine on a GPU, within ten minutes: first whether it is right, then how fast it is.
#   sh tests/bench/gpu.sh FOLDER [flags of the bench]
# FOLDER gets tests.txt, bench.json (written after each section), bench.svg and bench.txt. Packages
# that the machine lacks are taken from ./wheels, if that is there. $GPU_SECONDS is all the time.
out=$1; shift
began=$(date +%s); all=${GPU_SECONDS:-580}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
cd "$(dirname "$0")/../.." || exit 1
if [ -d wheels ]; then
  python3 -m pip install -q --no-index --find-links wheels --no-deps wheels/*.whl >"$out/pip.txt" 2>&1
fi
tests=tests/local_engine/csm
# The machine may lack the other tests' plugins, which the project's own settings name.
timeout $((all / 3)) python3 -m pytest -c /dev/null --rootdir=. --confcutdir=$tests -p no:cacheprovider \
  -q -rfEs $tests/test_device.py $tests/test_graphs_device.py \
  $tests/test_kernels_layers.py $tests/test_kernels_attention.py $tests/test_kernels_sampling.py \
  $tests/test_kernels_frame.py $tests/test_kernels_fp8.py >"$out/tests.txt" 2>&1
right=$?
tail -n 40 "$out/tests.txt"
left=$((all - ($(date +%s) - began)))
timeout --signal=INT $((left)) python3 -m local_engine.bench --seconds $((left - 15)) \
  --json "$out/bench.json" "$@" >"$out/bench.txt" 2>&1
tail -n 150 "$out/bench.txt"
exit $right
