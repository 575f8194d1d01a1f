#!/bin/sh
# Makes the archive of this release for the target of this machine, as `delivery = "prebuilt"` installs it, with a list of
# checksums and, where MINISIGN_KEY names a secret key of minisign, a signature of that list. All of it goes to dist/.
#
# The same commit gives the same archive, byte for byte, in whatever folder and whenever it is made: order, times, owners
# and modes are fixed, and the compiler omits the path of the sources. SOURCE_DATE_EPOCH overrides the time of
# the last commit; BINARIES names a folder with heph and hephd that are built already.
set -eu
cd "$(dirname "$0")"

version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
target=$(rustc -vV | sed -n 's/^host: //p')
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
stem="heph-v$version-$target"
export LC_ALL=C

tar=tar
command -v gtar >/dev/null 2>&1 && tar=gtar
if ! $tar --version 2>/dev/null | grep -q 'GNU tar'; then
    echo "error: only GNU tar can fix the order of an archive" >&2
    echo "hint: install it, for example with \`brew install gnu-tar\`" >&2
    exit 1
fi

if [ -z "${BINARIES-}" ]; then
    forget="--remap-path-prefix=$PWD=/heph --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo"
    SOURCE_DATE_EPOCH=$time RUSTFLAGS="${RUSTFLAGS-} $forget" \
        "${CARGO:-cargo}" build --locked --release --bins --target-dir target/dist
    BINARIES=target/dist/release
fi

rm -rf dist
mkdir -p "dist/$stem/man/man1" "dist/$stem/completions"
cp "$BINARIES/heph" "$BINARIES/hephd" LICENSE-APACHE LICENSE-MIT CHANGELOG.md "dist/$stem"
cp docs/man/*.1 "dist/$stem/man/man1"
cp docs/completions/* "dist/$stem/completions"
find "dist/$stem" -type f -exec chmod 644 {} +
find "dist/$stem" -type d -exec chmod 755 {} +
chmod 755 "dist/$stem/heph" "dist/$stem/hephd"
cd dist
$tar --format=ustar --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner \
    -cf - "$stem" | gzip -9n >"$stem.tar.gz"
rm -rf "$stem"

if command -v sha256sum >/dev/null 2>&1; then
    sha256sum "$stem.tar.gz" >SHA256SUMS
else
    shasum -a 256 "$stem.tar.gz" >SHA256SUMS
fi
if [ -n "${MINISIGN_KEY-}" ]; then
    minisign -S -s "$MINISIGN_KEY" -m SHA256SUMS -x SHA256SUMS.minisig
fi
echo "in dist/:"
ls
