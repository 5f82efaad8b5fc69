#!/usr/bin/env bash
# Compiles each NAME.bpf.c to NAME.bpf.o, which is checked in so that faithd builds without clang.
#
#   bpf/build.sh           compile, unless the object on record was made from this very source
#   bpf/build.sh --force   compile in any case
#   bpf/build.sh --check   compile elsewhere and compare; writes nothing; exit 0 agrees, 1 does not
#
# The object holds no path and no DWARF, so one version of clang makes the same bytes wherever it runs,
# and --check asks for exactly those. Versions differ in the instructions they choose for the same
# source, so under another clang --check compares hashes with NAME.bpf.record instead: of the source
# and options the object was made from, and of the object. A changed source or object is found either way.
#
# Needs clang, llvm and libbpf-dev. CLANG names another compiler.
set -euo pipefail
cd "$(dirname "$0")"

clang=${CLANG:-clang}
# -mcpu is fixed because clang's default grew from v1 to v3 over time; bpfel, and not bpf, because the
# latter would mean the byte order of the machine that compiles.
options=(-O2 -g -target bpfel -mcpu=v2 -Wall -Wextra -Werror -fdebug-compilation-dir=.)

fail() { echo "bpf: $*" >&2; exit 1; }

made_from() { { printf '%s\n' "${options[@]}"; cat ./*.h "$source"; } | sha256sum | cut -d' ' -f1; }
hash_of() { sha256sum <"$1" | cut -d' ' -f1; }
recorded() { sed -n "s/^$1 //p" "$record" 2>/dev/null || true; }
on_record() { [ "$(recorded source)" = "$(made_from)" ] && [ -f "$object" ] && [ "$(recorded object)" = "$(hash_of "$object")" ]; }

compile() {
	local strip multiarch=
	command -v "$clang" >/dev/null || fail "cannot compile $source: $clang not found; install clang, llvm and libbpf-dev, or set CLANG"
	strip=$("$clang" -print-prog-name=llvm-strip)
	command -v "$strip" >/dev/null || fail "cannot compile $source: llvm-strip not found; install llvm"
	# Debian keeps <asm/types.h> in a folder that clang searches only when it compiles for the machine itself.
	for multiarch in /usr/include/"$(uname -m)"-linux-gnu*; do break; done
	"$clang" "${options[@]}" -idirafter "$multiarch" -c "$source" -o "$1" || fail "cannot compile $source with $clang"
	"$strip" -g "$1"
}

version() { "$clang" -dumpversion; }

build() {
	if [ "$1" = '' ] && on_record; then
		echo "bpf: $object is up to date"
		return
	fi
	compile "$scratch/$object"
	mv "$scratch/$object" "$object"
	printf 'clang %s\nsource %s\nobject %s\n' "$(version)" "$(made_from)" "$(hash_of "$object")" >"$record"
	echo "bpf: wrote $object with clang $(version)"
}

check() {
	compile "$scratch/$object"
	on_record || fail "$object and $source do not belong together by $record; run bpf/build.sh --force and commit all three"
	if cmp -s "$object" "$scratch/$object"; then
		echo "bpf: $object is what clang $(version) makes of $source, byte for byte"
	elif [ "$(version)" = "$(recorded clang)" ]; then
		fail "$object is not what clang $(version) makes of $source; run bpf/build.sh --force and commit the result"
	else
		echo "bpf: $object and $source agree with $record; bytes not compared, clang is $(version) here and was $(recorded clang) there"
	fi
}

case "${1-}" in
'' | --force | --check) ;;
*) fail "usage: bpf/build.sh [--force | --check]" ;;
esac
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
for source in *.bpf.c; do
	object=${source%.c}.o record=${source%.c}.record
	if [ "${1-}" = --check ]; then check; else build "${1-}"; fi
done
