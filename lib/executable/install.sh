#!/bin/sh
# Lays out what was built below DESTDIR/PREFIX, or removes it again:
# install.sh install|uninstall PREFIX [DESTDIR], called in the checkout. The modulefile names PREFIX,
# and is loaded as datalad-slurm once share/modulefiles is in MODULEPATH (module use).
set -eu
umask 022

case $2 in
/*) prefix=${2%/} ;;
*) prefix=$PWD/${2%/} ;;
esac
case $prefix in
*[{}\\]*)
    echo "Error: PREFIX \"$prefix\" must not have braces or backslashes in it" >&2
    exit 1
    ;;
esac
target=${3-}$prefix

# Puts the directory in its place; not by sed, for its name may hold anything.
name_prefix() {
    while IFS= read -r line; do
        case $line in
        *@PREFIX@*) printf '%s\n' "${line%%@PREFIX@*}$prefix${line#*@PREFIX@}" ;;
        *) printf '%s\n' "$line" ;;
        esac
    done
}

# Those that install makes below PREFIX, the innermost first; others' files keep theirs.
remove_empty_directories() {
    { (cd dist && find share -depth -type d) && echo bin; } | while read -r directory; do
        rmdir "$target/$directory" 2>/dev/null || true
    done
}

files=$(cd dist/share && find . -type f | sed 's|^\./||')

case $1 in
install)
    mkdir -p "$target/bin"
    install -m 755 dist/datalad-slurm "$target/bin/datalad-slurm"
    printf '%s\n' "$files" | while read -r file; do
        mkdir -p "$target/share/$(dirname "$file")"
        case $file in
        modulefiles/*) name_prefix <"dist/share/$file" >"$target/share/$file" ;;
        *) install -m 644 "dist/share/$file" "$target/share/$file" ;;
        esac
    done
    echo "Installed below $target: bin/datalad-slurm; man pages, completions, modulefile in share/"
    ;;
uninstall)
    rm -f "$target/bin/datalad-slurm"
    printf '%s\n' "$files" | while read -r file; do rm -f "$target/share/$file"; done
    # The system's own directories were there before, also where they are empty now.
    case $target in
    /usr | /usr/local) ;;
    *) remove_empty_directories ;;
    esac
    echo "Removed from $target"
    ;;
esac
