#!/bin/sh
# Usage: toolchain.sh VERSION LINK
# Makes LINK point to a deno of exactly VERSION: the one on PATH, or else one from the npm registry,
# which is installed beside LINK.
set -eu
version=$1
link=$2
dir=$(dirname "$link")

is_wanted() {
    [ -x "$1" ] && [ "$("$1" --version 2>/dev/null | sed -n '1s/^deno \([^ ]*\).*/\1/p')" = "$version" ]
}

deno_on_path=$(command -v deno || true)
if [ -n "$deno_on_path" ] && is_wanted "$deno_on_path"; then
    runtime=$deno_on_path
else
    command -v npm >/dev/null || {
        echo "Error: Neither deno $version nor npm is on PATH" >&2
        echo "Hint: Install one of them, on Debian for example with: apt-get install npm" >&2
        exit 1
    }
    # Without install scripts, which newer npm blocks anyway: deno's own only copies the binary of
    # the platform's package.
    echo "Installing deno $version from the npm registry" >&2
    mkdir -p "$dir/npm"
    npm install --prefix "$dir/npm" --ignore-scripts --no-audit --no-fund --no-save \
        --loglevel=error "deno@$version" >&2 </dev/null
    runtime=
    for candidate in "$PWD/$dir/npm/node_modules/@deno"/*/deno; do
        if is_wanted "$candidate"; then runtime=$candidate; fi
    done
    [ -n "$runtime" ] || {
        echo "Error: The npm package deno $version brought no binary that runs here" >&2
        exit 1
    }
fi
mkdir -p "$dir"
ln -sfn "$runtime" "$link"
