#!/usr/bin/env bash
# Counts instructions and system calls under valgrind and holds them against benches/guard/counts.toml.
#
# scripts/guard.sh            fails if a case takes 3 % more instructions than on file, or a host two system calls more
# scripts/guard.sh update     writes what this machine counts into the file
#
# A count is ours alone: instructions in the program itself (our code, libssh2, the scheduler) and in the C library,
# where allocations show. The crypto library's are left out; they differ from CPU to CPU. The sum is what is compared:
# what the allocator does depends on the heap, and a host's packets come in one read or in two.
# The file says what its numbers were counted with; where that differs here, the step is skipped with the reason.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

counts=benches/guard/counts.toml
# How much more than on file is let pass, in per cent of instructions and in system calls for each host.
more_percent=3
more_calls=2
# Hosts of the two runs whose difference is taken, and how often, for the median.
few=10
many=70
rounds=3
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}

skip() {
    echo "skipped: $1"
    exit 0
}

mode=${1:-check}
case $mode in
check | update) ;;
*)
    echo "guard: unknown word: $mode (nothing, or update)" >&2
    exit 2
    ;;
esac
command -v valgrind >/dev/null || skip "valgrind is not installed (scripts/setup.sh guard)"
[ "$(uname -sm)" = "Linux x86_64" ] || skip "the counts on file are of Linux on x86-64"

# made_with: what changes the numbers and is no doing of ours.
made_with() {
    local avx2=no
    if grep -qw avx2 /proc/cpuinfo; then avx2=yes; fi
    echo "rustc = \"$(rustc --version | cut -d' ' -f2)\""
    echo "valgrind = \"$(valgrind --version | sed 's/^valgrind-//')\""
    echo "libc = \"$(getconf GNU_LIBC_VERSION)\""
    echo "openssl = \"$(pkg-config --modversion openssl)\""
    # The C library and memchr choose their code by it.
    echo "avx2 = \"$avx2\""
}

work=$(mktemp -d)
fleet=
tidy_up() {
    # The fleet ends with its standard input.
    if [ -n "$fleet" ]; then
        exec {to}>&-
        wait "$fleet" || true
    fi
    rm -rf "$work"
}
trap tidy_up EXIT

made_with >"$work/made_with"
if [ "$mode" = check ]; then
    [ -f "$counts" ] || { echo "guard: $counts is missing; scripts/guard.sh update writes it" >&2; exit 1; }
    while read -r line; do
        grep -qxF "$line" "$counts" ||
            skip "counted with another: $line here, $(grep "^${line%% *} " "$counts" || echo none) on file"
    done <"$work/made_with"
fi

# Built if need be; the last line names it.
built=$(cargo bench --locked --bench guard --no-run 2>&1) || { echo "$built" >&2; exit 1; }
program=$(sed -n 's/.*(\(.*guard-[0-9a-f]*\))$/\1/p' <<<"$built")
[[ $program = /* ]] || program=$PWD/$program

# count NAME ARGUMENT...: runs the program under callgrind; its output goes to $work/NAME.out, or NAME.out.N.
count() {
    local name=$1
    shift
    valgrind --quiet --tool=callgrind --collect-systime=yes --callgrind-out-file="$work/$name.out" "${options[@]}" \
        "$program" "$@" >"$work/$name.log" 2>&1 || { cat "$work/$name.log" >&2; return 1; }
}

# sums FILE: instructions in the program and in libc, and system calls but those for the time, which the kernel is not
# asked for outside of valgrind. Lines after calls= hold what is called, and are counted there.
sums() {
    awk -v program="${program##*/}" '
        function named(text, names,   id) {
            match(text, /^\([0-9]+\)/)
            id = substr(text, 1, RLENGTH)
            if (length(text) > RLENGTH) names[id] = substr(text, RLENGTH + 2)
            return names[id]
        }
        /^ob=/ { object = named(substr($0, 4), objects); next }
        /^cob=/ { named(substr($0, 5), objects); next }
        /^fn=/ { called = named(substr($0, 4), functions); next }
        /^cfn=/ { named(substr($0, 5), functions); next }
        /^calls=/ { skip = 1; next }
        /^[-+*0-9]/ {
            if (skip) { skip = 0; next }
            if (index(object, program)) ours += $2
            else if (object ~ /\/libc\.so/) libc += $2
            if (called !~ /clock_gettime/) calls += $3
        }
        END { printf "%d %d %d\n", ours, libc, calls }' "$1"
}

# The pure functions: the program prints the name of each, then does it in the function that is named here, and its
# counts are written when that returns.
options=("--toggle-collect=guard::cases::counted" "--dump-after=guard::cases::counted")
count pure pure
number=0
while read -r name; do
    number=$((number + 1))
    read -r ours libc _ < <(sums "$work/pure.out.$number")
    echo "$name = { program = $ours, libc = $libc }"
done <"$work/pure.log" >"$work/pure"

# One host, from its connect to its close: many hosts one after the other less a few, by the hosts between.
coproc servers { exec "$program" fleet "$work/fleet" "$many"; }
# Copied, as bash forgets them when the fleet ends.
from=${servers[0]} to=${servers[1]} fleet=$!
read -r _ <&"$from"
options=()
for round in $(seq "$rounds"); do
    for hosts in "$few" "$many"; do
        count "$hosts-$round" hosts "$work/fleet" "$hosts" 1 1
        sums "$work/$hosts-$round.out" >"$work/$hosts-$round"
    done
    paste -d' ' "$work/$few-$round" "$work/$many-$round" |
        awk -v hosts=$((many - few)) '{ print ($4 - $1) / hosts, ($5 - $2) / hosts, ($6 - $3) / hosts }'
done >"$work/hosts"
# median FIELD
median() {
    cut -d' ' -f"$1" "$work/hosts" | sort -g | sed -n "$((rounds / 2 + 1))p"
}
printf 'host = { program = %.0f, libc = %.0f, calls = %.1f }\n' "$(median 1)" "$(median 2)" "$(median 3)" >"$work/host"

if [ "$mode" = update ]; then
    {
        echo "# Written by scripts/guard.sh update; what the numbers are is said there and in benches/README.md."
        echo
        echo "[made_with]"
        cat "$work/made_with"
        echo
        echo "[instructions]"
        cat "$work/host" "$work/pure"
    } >"$counts"
    cat "$counts"
    echo "rounds of host:"
    cat "$work/hosts"
    exit 0
fi

awk -v percent="$more_percent" -v calls="$more_calls" '
    function field(line, name) {
        return match(line, name " = [0-9.]+") ? substr(line, RSTART + length(name) + 3, RLENGTH) + 0 : 0
    }
    function instructions(line) { return field(line, "program") + field(line, "libc") }
    FNR == NR { if ($3 == "{") was[$1] = $0; next }
    !($1 in was) { print "guard: " $1 " is not on file"; failed = 1; next }
    {
        now = instructions($0); before = instructions(was[$1])
        share = 100 * (now / before - 1)
        verdict = share > percent ? "TOO MANY" : share < -percent ? "fewer: worth an update" : "ok"
        if (share > percent) failed = 1
        printf "%-20s %9d instructions, on file %9d (%+.2f %%; program %d, libc %d): %s\n", $1, now, before, share,
            field($0, "program"), field($0, "libc"), verdict
        more = field($0, "calls") - field(was[$1], "calls")
        if (/calls/) printf "%-20s %9.1f system calls, on file %9.1f: %s\n",
            $1, field($0, "calls"), field(was[$1], "calls"), (more > calls ? "TOO MANY" : "ok")
        if (more > calls) failed = 1
        delete was[$1]
    }
    END {
        for (name in was) { print "guard: " name " is on file and was not counted"; failed = 1 }
        if (failed) print "guard: if it is worth that, scripts/guard.sh update writes the file anew; the commit says why"
        exit failed
    }' "$counts" "$work/host" "$work/pure"
