#!/usr/bin/env bash
# Compiles each NAME.bpf.c to NAME.bpf.o. The objects are checked in, so that faithd builds without clang.
#
#   bpf/build.sh           compile, unless the recorded object was made from this source
#   bpf/build.sh --force   always compile
#   bpf/build.sh --check   compile to a scratch folder and compare; exit 0 if they agree, 1 if not
#
# The object contains no path and no DWARF, so the same version of clang makes the same bytes on every
# machine, and --check compares bytes. Other versions choose other instructions for the same source, so
# with another clang --check compares hashes with NAME.bpf.record instead: the hash of source and options,
# and the hash of the object. Both ways find a changed source or object.
#
# Needs clang, llvm and libbpf-dev. CLANG names another compiler.
set -euo pipefail
cd "$(dirname "$0")"

clang=${CLANG:-clang}
# -mcpu is fixed because clang's default rose from v1 to v3 over time. The target is bpfel, because bpf
# would mean the byte order of the compiling machine.
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
	# Debian keeps <asm/types.h> in a folder that clang searches only when it compiles for the host.
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
	on_record || fail "$record says that $object was not made from $source; run bpf/build.sh --force and commit all three"
	if cmp -s "$object" "$scratch/$object"; then
		echo "bpf: $object is byte for byte what clang $(version) makes of $source"
	elif [ "$(version)" = "$(recorded clang)" ]; then
		fail "$object is not what clang $(version) makes of $source; run bpf/build.sh --force and commit the result"
	else
		echo "bpf: $object and $source agree with $record; bytes not compared, because clang is $(version) here and was $(recorded clang) for the record"
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
