#!/usr/bin/env bash
# Runs the users' rolling restarts against five hosts, and checks what happened on them: one OpenSSH server that
# listens on five loopback addresses, where each address has files of its own.
#
# scripts/downstream.sh PROGRAMS_DIR
set -euo pipefail
programs=$1
daemon=$(PATH=$PATH:/usr/sbin:/usr/local/sbin command -v sshd) || { echo "no sshd: install openssh-server" >&2; exit 1; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/sshoal-downstream-XXXXXX")
addresses=(127.3.0.1 127.3.0.2 127.3.0.3 127.3.0.4 127.3.0.5)
server=

finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$dir"
}
trap finish EXIT

# fail TEXT: ends with what the last program said and what the hosts saw.
fail() {
    echo "downstream: $1" >&2
    cat "$dir/said" "$dir/seen" >&2
    exit 1
}

# serve PORT: starts the server; fails if an address has that port already.
serve() {
    local listening=0 line
    {
        printf "ListenAddress %s:$1\n" "${addresses[@]}"
        printf '%s\n' "HostKey $dir/host_key" "AuthorizedKeysFile $dir/user_key.pub" 'PidFile none' 'UsePAM no' \
            'StrictModes no' 'PermitRootLogin yes' 'PasswordAuthentication no' 'MaxStartups 100' 'UseDNS no' \
            'SetEnv SHLVL=5'
    } >"$dir/sshd_config"
    local from
    "$daemon" -D -e -f "$dir/sshd_config" >"$dir/output" 2>&1 &
    server=$!
    exec {from}<"$dir/output"
    while read -r -t 60 line <&"$from"; do
        echo "$line" >>"$dir/log"
        # It would go on with the other addresses.
        [[ $line != 'Bind to port '* ]] || break
        [[ $line != 'Server listening on '* ]] || listening=$((listening + 1))
        if [ "$listening" -eq "${#addresses[@]}" ]; then
            # What is not read would stop the server.
            cat <&"$from" >>"$dir/log" &
            return 0
        fi
    done
    kill "$server" 2>/dev/null || true
    wait "$server" || true
    exec {from}<&-
    server=
    return 1
}

start() {
    [ "$(id -u)" -ne 0 ] || mkdir -p /run/sshd
    ssh-keygen -q -t ed25519 -N '' -f "$dir/host_key"
    ssh-keygen -q -t ed25519 -N '' -f "$dir/user_key"
    mkfifo "$dir/output"
    local attempt port lowest highest
    read -r lowest highest </proc/sys/net/ipv4/ip_local_port_range
    for attempt in 1 2 3 4 5 6 7 8 9 10; do
        port=$((lowest + (RANDOM * 32768 + RANDOM) % (highest - lowest)))
        ! serve "$port" || break
        [ "$attempt" -lt 10 ] || { cat "$dir/log" >&2; exit 1; }
    done
    printf "%s:$port\n" "${addresses[@]}" >"$dir/hosts"
    printf "[%s]:$port $(cut -d ' ' -f 1,2 "$dir/host_key.pub")\n" "${addresses[@]}" >"$dir/known_hosts"
}

# roll PROGRAM BATCH CODE: a rolling restart that ends with this exit code. A host notes each restart and each look at
# it, is healthy at the third look unless the file HOST.sick is there, and restarts unless HOST.stuck is there.
roll() {
    local code=0 restart healthy
    # What is quoted so is for the shells of the hosts.
    # shellcheck disable=SC2016
    restart='set -- $SSH_CONNECTION; echo "$3 restart" >>seen; sleep 0.3; test ! -e "$3.stuck"'
    # shellcheck disable=SC2016
    healthy='set -- $SSH_CONNECTION; echo "$3 look" >>seen; test ! -e "$3.sick" -a "$(grep -c "$3 look" seen)" -ge 3'
    : >"$dir/seen"
    "$programs/$1" "$dir/hosts" "$dir/known_hosts" "$dir/user_key" "$2" "${4:-60}" \
        "cd '$dir'; $restart" "cd '$dir'; $healthy" >"$dir/said" 2>&1 || code=$?
    [ "$code" -eq "$3" ] || fail "$1 ended with $code instead of $3"
}

# saw HOST WHAT COUNT: checks how often a host (1 to 5) noted something.
saw() {
    local address=${addresses[$1 - 1]} count
    count=$(grep -c "^$address $2" "$dir/seen" || true)
    [ "$count" -eq "$3" ] || fail "$address has $count times '$2' instead of $3"
}

# says TEXT: checks that the program printed it.
says() {
    grep -q -F -e "$1" "$dir/said" || fail "it did not say '$1'"
}

# check PROGRAM: all is well, then the third host stays sick, then the second cannot be restarted.
check() {
    local host
    roll "$1" 2 0
    for host in 1 2 3 4 5; do
        saw "$host" restart 1
        saw "$host" look 3
        says "${addresses[$host - 1]}"
    done
    # In batches of two: no restart before the third look at each of those in the batch before.
    awk -v batches='1 1 2 2 3' '
        BEGIN { split(batches, batch) }
        { split($1, part, "."); mine = batch[part[4]] }
        $2 == "restart" && mine > 1 && looks[mine - 1] < 6 { print "too early: " $0; early = 1 }
        $2 == "look" { looks[mine]++ }
        END { exit early }' "$dir/seen" || fail "$1 did not wait for a batch"
    [ "$1" != rolling-tokio ] || says ' beats while hosts were being restarted'
    ! grep -q '^0 beats' "$dir/said" || fail "its runtime was held up"

    touch "$dir/${addresses[2]}.sick"
    roll "$1" 1 1 5
    saw 1 restart 1
    saw 2 restart 1
    saw 3 restart 1
    saw 4 '' 0
    saw 5 '' 0
    says "${addresses[2]}"
    says 'not healthy within 5s; 2 hosts untouched'
    rm "$dir/${addresses[2]}.sick"

    touch "$dir/${addresses[1]}.stuck"
    roll "$1" 1 1
    saw 1 look 3
    saw 2 restart 1
    saw 2 look 0
    saw 3 '' 0
    says '3 hosts untouched'
    rm "$dir/${addresses[1]}.stuck"
    echo "$1: restarts in batches, and stops at the first failure"
}

start
check rolling
check rolling-tokio
