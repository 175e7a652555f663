#%Module1.0
# For Environment Modules and Lmod. The line below names where this was installed.
set prefix {@PREFIX@}

module-whatis {datalad-slurm: Slurm jobs as commits of a DataLad dataset}

proc ModulesHelp { } {
    puts stderr {datalad-slurm: Slurm jobs as commits of a DataLad dataset}
    puts stderr {}
    puts stderr {    datalad-slurm --help        the commands}
    puts stderr {    man datalad-slurm-guide     how to work with them}
}

conflict datalad-slurm

prepend-path PATH "$prefix/bin"

# Without MANPATH, man finds the pages by PATH; one made here would hide all others. FPATH, where zsh
# looks for completions, is seldom exported, and would hide zsh's own functions in the same way.
foreach {name directory} {MANPATH share/man FPATH share/zsh/site-functions} {
    if {[info exists env($name)]} {
        prepend-path $name "$prefix/$directory"
    }
}

# bash-completion and fish look for completions below these directories.
if {![info exists env(XDG_DATA_DIRS)] || $env(XDG_DATA_DIRS) eq {}} {
    setenv XDG_DATA_DIRS "$prefix/share:/usr/local/share:/usr/share"
} else {
    prepend-path XDG_DATA_DIRS "$prefix/share"
}
