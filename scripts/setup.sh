#!/usr/bin/env bash
# Installs the system packages that a task needs, by apt-get, and only those that are missing.
#
# scripts/setup.sh [TASK...]      tasks: build (default), test, guard, fuzz, package, vendored, aws-lc
set -euo pipefail

# Rust is not installed here: where it comes from is the user's choice.
if ! command -v cargo >/dev/null 2>&1; then
    echo "setup: cargo is not found; install Rust (https://rustup.rs) and try again" >&2
    exit 1
fi

missing=()
spared=()
# need PACKAGE CHECK...: notes the package if the check fails.
need() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}
# want PACKAGE CHECK...: as need, of what some tests are skipped without.
want() {
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || spared+=("$package")
}
has_sshd() {
    [ -x /usr/sbin/sshd ] || [ -x /usr/local/sbin/sshd ] || [ -x /usr/bin/sshd ]
}
has_libc_headers() {
    echo '#include <stdlib.h>' | cc -E -
}
has_libclang() {
    [ -n "${LIBCLANG_PATH-}" ] && return
    # Not libclang-cpp, which is another library.
    local directory
    for directory in /usr/lib/llvm-*/lib /usr/lib/*-linux-gnu; do
        compgen -G "$directory/libclang.so*" || compgen -G "$directory/libclang-[0-9]*.so*" || continue
        return 0
    done
    return 1
}

[ $# -gt 0 ] || set -- build
for task in "$@"; do
    case $task in
    build)
        need gcc command -v cc
        need libc6-dev has_libc_headers
        need pkg-config command -v pkg-config
        need libssl-dev pkg-config --exists openssl
        ;;
    test)
        need openssh-server has_sshd
        need openssh-client command -v ssh
        need openssh-client command -v ssh-keygen
        need openssh-client command -v ssh-agent
        need openssl command -v openssl
        need sudo command -v sudo
        # Shells that quoted words are held against; bash is there.
        need dash command -v dash
        need busybox command -v busybox
        # What the dialect of pssh is held against.
        need pssh command -v parallel-ssh
        need rsync command -v rsync
        need procps command -v pkill
        # Pseudo-terminals.
        need bsdutils command -v script
        # Those that read completions, manual pages and groups as we write and read them.
        want zsh command -v zsh
        want fish command -v fish
        want groff-base command -v groff
        want clustershell command -v nodeset
        ;;
    fuzz) need g++ command -v c++ ;;
    package)
        need dpkg-dev command -v dpkg-shlibdeps
        need binutils command -v strip
        [ "$(id -u)" -eq 0 ] || need fakeroot command -v fakeroot
        ;;
    vendored)
        need perl command -v perl
        need make command -v make
        ;;
    guard)
        need valgrind command -v valgrind
        ;;
    aws-lc)
        need cmake command -v cmake
        need g++ command -v c++
        need libclang-dev has_libclang
        ;;
    *)
        echo "setup: unknown task: $task (build, test, guard, fuzz, package, vendored, aws-lc)" >&2
        exit 2
        ;;
    esac
done
[ $((${#missing[@]} + ${#spared[@]})) -gt 0 ] || exit 0

if [ ${#missing[@]} -eq 0 ] && { ! command -v apt-get || { [ "$(id -u)" -ne 0 ] && ! sudo -n true; }; } >/dev/null 2>&1; then
    echo "setup: tests that need these are skipped: ${spared[*]}" >&2
    exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "setup: this is no Debian; install what these Debian packages hold: ${missing[*]}" >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null 2>&1; then
        echo "setup: run this as root: apt-get install ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi
# install PACKAGE...: installs them.
install() {
    echo "setup: installing $*" >&2
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q install --yes --no-install-recommends "$@" >&2
}
updated=0
"${as_root[@]}" apt-get -q update >&2 || updated=$?
if [ ${#missing[@]} -gt 0 ]; then
    [ "$updated" -eq 0 ] || exit "$updated"
    install "${missing[@]}"
fi
# One by one: what one archive does not have, another test does without.
for package in "${spared[@]}"; do
    install "$package" || echo "setup: tests that need $package are skipped" >&2
done
