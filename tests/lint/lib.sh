# shellcheck shell=sh
# Sourced by the lints: counting, and the closing line that the build log shows.

src=$LK_SRCDIR/src
n_passed=0
n_failed=0

pass() {
	n_passed=$((n_passed + 1))
}

fail() {
	n_failed=$((n_failed + 1))
	echo "FAIL: $*"
}

skip() {
	echo "SKIP: $*"
	exit 77
}

# A lint that looked at nothing has not passed.
finish() {
	echo "$n_passed passed, $n_failed failed"
	[ $n_failed -eq 0 ] && [ $n_passed -gt 0 ]
	exit
}

# check_syntax COMPILER ARG…: with the build's definitions, which make's flags
# quote for a shell, and no warning allowed.
check_syntax() {
	compiler=$1
	shift
	eval "$compiler -std=c11 -pthread $LK_CPPFLAGS -Wall -Wextra -Wshadow" \
	    '-Wstrict-prototypes -Werror -fsyntax-only "$@"'
}

# The layers, lowest first.
layers() {
	sed 's/#.*//' "$src/LAYERS" | awk 'NF { print $1 }'
}
