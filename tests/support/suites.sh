#!/bin/sh
# Prints how long each suite of tests takes by itself, with so many threads ($1). Fails where one of them does.
set -eu
cargo=${CARGO:-cargo}
$cargo test --locked --test all --no-run
failed=0
for suite in $(sed -n 's/^mod \([a-z]*\);$/\1/p' tests/main.rs | grep -vx support); do
    log=target/tmp/suite-$suite.log
    $cargo test --locked --test all -- --test-threads="$1" "$suite::" >"$log" 2>&1 || failed=1
    sed -n "s/^test result: \([^ ]*\) \([0-9]* passed; [0-9]* failed\);.*finished in \(.*\)/$suite \3 (\2)/p" "$log"
done
exit $failed
