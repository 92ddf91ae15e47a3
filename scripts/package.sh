#!/usr/bin/env bash
# A Debian package of the command: the program, manual pages, completions and the licence. It needs dpkg
# alone, and no network beyond what cargo needs.
#
# scripts/package.sh build [FEATURES...]  builds it; its path is the last line. FEATURES are cargo's, as
#                                         --no-default-features, which leaves out the demo
# scripts/package.sh static [FEATURES...] builds a program that needs no library of the machine it runs on,
#                                         to be copied to a bastion; its path is the last line
# scripts/package.sh share DIR PROGRAM    writes what goes with a program into DIR, as `cargo deb` wants it
# scripts/package.sh check DEB            installs it into an empty root, runs it there and removes it
#
# SSHOAL_PACKAGE_PROFILE  cargo's profile [small]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
profile=${SSHOAL_PACKAGE_PROFILE:-small}
description="Runs commands on, and copies files to and from, thousands of hosts over SSH
 One process keeps thousands of sessions, checks every host key, and tells
 host by host what became of it. It reads ssh_config and known_hosts as ssh
 does, and takes the place of pssh, pscp, prsync, pslurp and pnuke."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# share DIR PROGRAM: manual pages and completions, compressed where Debian wants it.
share() {
    local dir=$1 program=$2
    mkdir -p "$dir/man" "$dir/completions"
    rm -f "$dir"/man/*
    "$program" man "$dir/man"
    gzip -9nf "$dir"/man/*.1
    "$program" completions bash >"$dir/completions/sshoal"
    "$program" completions zsh >"$dir/completions/_sshoal"
    "$program" completions fish >"$dir/completions/sshoal.fish"
    gzip -9nc CHANGELOG.md >"$dir/changelog.gz"
    {
        echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
        echo "Upstream-Name: sshoal"
        echo
        echo "Files: *"
        echo "Copyright: $(sed -n 's/^Copyright (c) //p' LICENSE-MIT | head -n 1)"
        echo "License: Expat or Apache-2.0"
        echo
        echo "License: Expat"
        sed -e 's/^$/./' -e 's/^/ /' LICENSE-MIT
        echo
        echo "License: Apache-2.0"
        sed -e 's/^$/./' -e 's/^/ /' LICENSE-APACHE
    } >"$dir/copyright"
}

# depends PROGRAM: the packages of the libraries that it is linked to.
depends() {
    mkdir -p "$scratch/debian"
    printf 'Source: sshoal\n\nPackage: sshoal\nArchitecture: any\n' >"$scratch/debian/control"
    (cd "$scratch" && dpkg-shlibdeps -O "$1" 2>/dev/null) | sed 's/^shlibs:Depends=//'
}

build() {
    local version arch folder program root share
    # What is C in it checks what the compiler can, and grows no stack beyond its guard. Not for a program
    # that is built already: it would be another, and built again.
    if [ "$profile" = small ]; then
        export CFLAGS="${CFLAGS-} -DNDEBUG -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-clash-protection"
    fi
    cargo build --locked --quiet --package sshoal-cli --profile "$profile" "$@" >&2
    folder=$profile
    [ "$profile" != dev ] || folder=debug
    version=$(sed -n '/^\[workspace.package\]/,/^$/ s/^version = "\(.*\)"/\1/p' Cargo.toml)
    arch=$(dpkg --print-architecture)
    root=$scratch/root share=$scratch/share
    program=$root/usr/bin/sshoal
    share "$share" "$target/$folder/sshoal"
    install -Dm755 "$target/$folder/sshoal" "$program"
    strip --strip-unneeded "$program"
    install -Dm644 -t "$root/usr/share/man/man1" "$share"/man/*
    install -Dm644 -t "$root/usr/share/bash-completion/completions" "$share/completions/sshoal"
    install -Dm644 -t "$root/usr/share/zsh/vendor-completions" "$share/completions/_sshoal"
    install -Dm644 -t "$root/usr/share/fish/vendor_completions.d" "$share/completions/sshoal.fish"
    install -Dm644 "$share/changelog.gz" "$root/usr/share/doc/sshoal/changelog.gz"
    install -Dm644 "$share/copyright" "$root/usr/share/doc/sshoal/copyright"
    mkdir -p "$root/DEBIAN"
    cat >"$root/DEBIAN/control" <<CONTROL
Package: sshoal
Version: $version
Architecture: $arch
Maintainer: ${DEBEMAIL:-The sshoal contributors <sshoal@localhost>}
Installed-Size: $(du -sk --apparent-size "$root/usr" | cut -f1)
Depends: $(depends "$program")
Suggests: openssh-client
Section: net
Priority: optional
Description: $description
CONTROL
    (cd "$root" && find usr -type f -exec md5sum {} +) >"$root/DEBIAN/md5sums"
    chmod 755 "$root" "$root/DEBIAN"
    mkdir -p "$target/debian"
    dpkg-deb --root-owner-group --build "$root" "$target/debian/sshoal_${version}_$arch.deb" >/dev/null
    echo "program: $(stat -c %s "$program") bytes; package: $(stat -c %s "$target/debian/sshoal_${version}_$arch.deb") bytes" >&2
    echo "$target/debian/sshoal_${version}_$arch.deb"
}

static() {
    local triple program
    triple=$(rustc -vV | sed -n 's/^host: //p')
    # The C library too: its resolver reads hosts files and asks name servers without a plug-in since glibc 2.34.
    RUSTFLAGS="${RUSTFLAGS-} -C target-feature=+crt-static" cargo build --locked --quiet --package sshoal-cli \
        --profile "$profile" --target "$triple" --features vendored-openssl "$@" >&2
    program=$target/$triple/${profile/#dev/debug}/sshoal
    if readelf --dynamic "$program" | grep NEEDED >&2; then
        echo "package: $program needs libraries" >&2
        return 1
    fi
    # It runs where nothing else is, as whoever may have a root of their own.
    install -Dm755 "$program" "$scratch/bare/sshoal"
    if [ "$(id -u)" -eq 0 ]; then
        HOME=/ chroot "$scratch/bare" /sshoal --version | head -n 1 >&2
    fi
    echo "program: $(stat -c %s "$program") bytes" >&2
    echo "$program"
}

check() {
    local deb=$1 root=$scratch/clean version said as_root=() dpkg
    [ "$(id -u)" -eq 0 ] || as_root=(fakeroot)
    mkdir -p "$root"/var/lib/dpkg/{info,updates,triggers}
    touch "$root"/var/lib/dpkg/{status,available}
    # The root is empty: the libraries that the package needs are not in it, and the program runs over ours.
    dpkg=("${as_root[@]}" env "PATH=$PATH:/usr/sbin:/sbin" dpkg "--root=$root" --force-depends --log=/dev/null)
    "${dpkg[@]}" --install "$deb" 2>&1 | sed 's/^/  /'
    version=$(dpkg-deb --field "$deb" Version)
    said=$(HOME=$root "$root/usr/bin/sshoal" --version)
    grep -qxF "sshoal $version" <<<"$(head -n 1 <<<"$said")"
    [ "$(HOME=$root "$root/usr/bin/sshoal" run -n -l u -H web1 true)" = "u@web1:22 true" ]
    zgrep -q -- connect "$root/usr/share/man/man1/sshoal-run.1.gz"
    grep -q -- --connect-timeout "$root/usr/share/bash-completion/completions/sshoal"
    bash -n "$root/usr/share/bash-completion/completions/sshoal"
    [ -s "$root/usr/share/zsh/vendor-completions/_sshoal" ]
    [ -s "$root/usr/share/fish/vendor_completions.d/sshoal.fish" ]
    grep -q "Apache License" "$root/usr/share/doc/sshoal/copyright"
    dpkg-deb --field "$deb" Depends | grep -q libc6
    "${dpkg[@]}" --purge sshoal 2>&1 | sed 's/^/  /'
    [ -z "$(find "$root/usr" -type f 2>/dev/null)" ]
    echo "installed, ran and removed: $(head -n 1 <<<"$said")"
}

case ${1-} in
build) shift && build "$@" ;;
static) shift && static "$@" ;;
share) share "$2" "$3" ;;
check) check "$2" ;;
*) echo "package: say build, static, share or check; the head of this file has more" >&2 && exit 2 ;;
esac
