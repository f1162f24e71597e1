#!/bin/bash
# Compares two transcripts of transcript.sh, line by line.
#
#   compare.sh 'CLI A' 'CLI B'      for example: compare.sh 'docker -H unix:///tmp/d.sock' 'haven -H unix:///tmp/d.sock'
#
# Prints what differs; the left side is A. KEEP=DIRECTORY keeps the transcripts and everything said on standard error.
set -u
here=$(dirname "$(readlink -f "$0")")
[ $# -eq 2 ] || { echo "usage: $0 'CLI A' 'CLI B'" >&2; exit 2; }
keep=${KEEP:-$(mktemp -d)}
mkdir -p "$keep"
: >"$keep/a.err"
: >"$keep/b.err"
# shellcheck disable=SC2086 # the words of a command
ERRORS="$keep/a.err" "$here/transcript.sh" $1 >"$keep/a.txt" || exit 1
# shellcheck disable=SC2086
ERRORS="$keep/b.err" "$here/transcript.sh" $2 >"$keep/b.txt" || exit 1
diff --unified=3 --label "$1" --label "$2" "$keep/a.txt" "$keep/b.txt"
status=$?
[ -n "${KEEP:-}" ] || rm -rf "$keep"
exit $status
