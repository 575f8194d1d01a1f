#!/bin/sh
# Makes sure that the programs which the tests run are there: installs them when root on Debian or Ubuntu, else names
# exactly what is missing. The tests themselves never install anything. With the word "test" it also asks for root.
set -eu

if [ "${1-}" = test ] && [ "$(uname -s)" = Linux ] && [ "$(id -u)" != 0 ]; then
    echo "error: some tests mount small file systems, take on another user, and run a cron daemon: they need root" >&2
    echo "hint: run them as root in a container or a virtual machine" >&2
    exit 1
fi

missing=""
need() { # program package
    command -v "$1" >/dev/null 2>&1 || missing="$missing $2"
}
PATH="$PATH:/usr/sbin:/sbin"
need git git
need cc gcc
need strip binutils
need curl curl
need strace strace
need faketime faketime
need cron cron
need crontab cron
need busybox busybox-static
need nginx nginx-light
if [ "${1-}" = test ]; then
    need node nodejs
    need npm npm
    need python3 python3
    python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || missing="$missing python3-venv"
fi
need openssl openssl
need minisign minisign
need bzip2 bzip2
need xz xz-utils
need zstd zstd
need zip zip
need ssh-keygen openssh-client
need gpg gpg
need gpgv gpgv
need gpgconf gnupg
need mount mount
need flock util-linux
need script bsdutils
need systemctl systemd
need systemd-analyze systemd
# By its path: the shell may have a word of that name.
[ -x /usr/bin/time ] || missing="$missing time"
[ -x /lib/systemd/systemd ] || missing="$missing systemd"
git http-backend </dev/null >/dev/null 2>&1 || [ -x "$(git --exec-path)/git-http-backend" ] || missing="$missing git"
command -v cargo >/dev/null 2>&1 || { echo "error: cargo is missing" >&2; echo "hint: install Rust from https://rustup.rs" >&2; exit 1; }
[ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "installing:$missing"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        # shellcheck disable=SC2086 # one word a package
        apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        echo "error: these packages are missing:$missing" >&2
        echo "hint: sudo apt-get install$missing" >&2
        exit 1
    fi
fi

# What sd_booted(3) looks for: without it, a private user manager does not start in a container.
if [ ! -d /run/systemd/system ]; then
    if [ "$(id -u)" = 0 ]; then
        mkdir -p /run/systemd/system
    else
        echo "error: this machine was not booted with systemd" >&2
        echo "hint: sudo mkdir -p /run/systemd/system" >&2
        exit 1
    fi
fi
