#!/usr/bin/env bash
# Everything that a change has to pass, in the order in which it fails soonest.
#
# scripts/test.sh            all steps
# scripts/test.sh STEP...    only these, such as: scripts/test.sh fmt clippy test
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# One target directory for every step, the crates outside the workspace too: what is built once is built once.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
export CARGO_TERM_COLOR=${CARGO_TERM_COLOR:-never}
# Each crate is built once; what a next build could reuse would be as large as the programs themselves.
export CARGO_INCREMENTAL=${CARGO_INCREMENTAL:-0}
# The libssh2 that is bundled is the one that is tested; the system's would be another.
unset LIBSSH2_SYS_USE_PKG_CONFIG
fuzz_seconds=${SSHOAL_FUZZ_SECONDS:-5}
demo_hosts=${SSHOAL_DEMO_HOSTS:-1000}
test_log=$CARGO_TARGET_DIR/test.log

# skip REASON: ends a step that this machine cannot do.
skip() {
    echo "skipped: $1"
}

step_fmt() {
    cargo fmt --all --check
    cargo fmt --all --manifest-path tests/downstream/Cargo.toml --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo fmt --manifest-path benches/floor/Cargo.toml --check
}

step_scripts() {
    command -v shellcheck >/dev/null || { skip "shellcheck is not installed"; return; }
    shellcheck scripts/*.sh .ci/run
}

step_clippy() {
    cargo clippy --workspace --all-targets --locked -- -D warnings
}

step_test() {
    # The whole output goes to the log as well: its closing lines are summed up at the end.
    cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$test_log"
}

step_doc() {
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
}

step_features() {
    # With none of them, and with each that needs nothing installed; the tests have all of those.
    cargo check --package sshoal --locked
    cargo check --package sshoal --locked --features futures
    cargo check --package sshoal --locked --features tracing
    cargo check --package sshoal-cli --locked --no-default-features
    # The other crypto libraries, by what differs with them: algorithms, kinds of keys, host certificates, commands.
    scripts/setup.sh vendored || { skip "vendored-openssl: perl or make is missing"; return; }
    with_crypto vendored-openssl
    scripts/setup.sh aws-lc || { skip "aws-lc: cmake or libclang is missing"; return; }
    with_crypto aws-lc
}

# with_crypto FEATURE: tests against a real sshd with another crypto library.
with_crypto() {
    cargo test --package sshoal --locked --features "$1" \
        --test session_algorithms --test session_auth_keys --test session_exec --test session_host_key_certificates
}

step_tree() {
    local tree
    tree=$(cargo tree --package sshoal --edges normal --locked --features futures,tracing)
    if grep -w tokio <<<"$tree"; then
        echo "tokio is in the library's tree" >&2
        return 1
    fi
    echo "no tokio below sshoal: $(sort -u <<<"$tree" | wc -l) lines of tree"
}

step_msrv() {
    local version
    version=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
    rustup run "$version" cargo --version >/dev/null 2>&1 || { skip "Rust $version is not installed"; return; }
    RUSTUP_TOOLCHAIN=$version cargo check --workspace --locked
}

step_downstream() {
    # The library as its users take it, on a real host: a fleet of one, which ends with its standard input.
    cargo build --quiet --locked --package sshoal-loopback
    cargo build --quiet --locked --workspace --manifest-path tests/downstream/Cargo.toml
    "$CARGO_TARGET_DIR/debug/downstream"
    local ready dir host said
    coproc fleet { exec "$CARGO_TARGET_DIR/debug/sshoal-loopback" --hosts 1; }
    # Copied, as bash forgets them when the fleet ends.
    local from=${fleet[0]} to=${fleet[1]} pid=$!
    read -r ready <&"$from"
    dir=${ready##* dir=}
    host=$(head -n 1 "$dir/hosts")
    said=$("$CARGO_TARGET_DIR/debug/downstream" "$host" "$dir/known_hosts" "$dir/user_ed25519" 'echo from downstream')
    exec {to}>&-
    wait "$pid"
    echo "downstream on $host: $said"
    [ "$said" = "from downstream" ]
    # Rolling restarts, one of them on tokio, on a real sshd.
    [ "${SSHOAL_TEST_SSHD-}" != off ] || { skip "rolling restarts: SSHOAL_TEST_SSHD=off"; return; }
    scripts/downstream.sh "$CARGO_TARGET_DIR/debug"
}

step_fuzz() {
    scripts/setup.sh fuzz || { skip "no C++ compiler"; return; }
    if ! cargo fuzz --version >/dev/null 2>&1; then
        cargo install cargo-fuzz --locked --root "$CARGO_TARGET_DIR/tools" ||
            { skip "cargo-fuzz cannot be installed"; return; }
        PATH=$CARGO_TARGET_DIR/tools/bin:$PATH
    fi
    local target found
    # Without a sanitizer it runs on stable Rust; the coverage that steers it is there all the same.
    for target in $(cargo fuzz list); do
        # What a run finds goes into the first directory, so that the seeds in the repository stay as they are.
        found=$CARGO_TARGET_DIR/fuzz-corpus/$target
        mkdir -p "$found" "fuzz/corpus/$target"
        cargo fuzz run --sanitizer none "$target" "$found" "fuzz/corpus/$target" -- \
            -max_total_time="$fuzz_seconds"
    done
}

step_bench() {
    cargo bench --workspace --locked --no-run
    # What the figures of benches/peers are held against.
    cargo check --locked --manifest-path benches/floor/Cargo.toml
}

step_guard() {
    scripts/setup.sh guard || { skip "valgrind is not installed and cannot be"; return; }
    scripts/guard.sh
}

step_demo() {
    scripts/demo.sh --count "$demo_hosts" </dev/null
}

step_package() {
    command -v dpkg-deb >/dev/null || { skip "this is no Debian"; return; }
    scripts/setup.sh package || { skip "package: dpkg-dev or binutils is missing"; return; }
    # Of the program that the demo has built; the small one takes minutes.
    local deb
    deb=$(SSHOAL_PACKAGE_PROFILE=${SSHOAL_PACKAGE_PROFILE:-release} scripts/package.sh build)
    scripts/package.sh check "$deb"
    # The same by cargo's own tool, where that is there.
    cargo deb --version >/dev/null 2>&1 || { skip "cargo-deb is not installed"; return; }
    scripts/package.sh share "$CARGO_TARGET_DIR/release/share" "$CARGO_TARGET_DIR/release/sshoal"
    deb=$(cargo deb --quiet --package sshoal-cli --no-build --output "$CARGO_TARGET_DIR/cargo.deb" | tail -n 1)
    scripts/package.sh check "$deb"
}

step_deny() {
    if ! cargo deny --version >/dev/null 2>&1; then
        # Three minutes of one processor. The version is named, as others know other settings.
        cargo install cargo-deny --version 0.20.2 --locked --root "$CARGO_TARGET_DIR/tools" ||
            { skip "cargo-deny cannot be installed"; return; }
        PATH=$CARGO_TARGET_DIR/tools/bin:$PATH
    fi
    # What is said of the whole workspace is not all met in each of the trees outside of it.
    local deny=(cargo deny --locked --workspace --config "$PWD/deny.toml")
    local unmet=(--allow unused-wrapper --allow unmatched-skip-root
        --allow license-not-encountered --allow license-exception-not-encountered)
    local manifest
    "${deny[@]}" check "${unmet[@]}" bans licenses sources
    for manifest in fuzz benches/floor tests/downstream; do
        "${deny[@]}" --manifest-path "$manifest/Cargo.toml" check "${unmet[@]}" --allow duplicate bans licenses sources
    done
    # The advisory database lives outside of the crate registry and may be out of reach.
    "${deny[@]}" check advisories || skip "advisories: found some or no database, see above"
}

all=(fmt scripts clippy test tree doc downstream demo package bench guard features msrv fuzz deny)
[ $# -gt 0 ] || set -- "${all[@]}"
scripts/setup.sh build test
mkdir -p "$CARGO_TARGET_DIR"
: >"$test_log"
for step in "$@"; do
    declare -F "step_$step" >/dev/null || { echo "unknown step: $step (${all[*]})" >&2; exit 2; }
    echo "== $step"
    begin=$SECONDS
    "step_$step"
    echo "== $step took $((SECONDS - begin)) s"
done

[ -s "$test_log" ] || exit 0
# The closing lines of the tests once more, as other steps printed after them, and their sum.
grep '^test result:' "$test_log"
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 }
    END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$test_log"
