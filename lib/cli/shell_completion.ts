import type { OptionSpec } from "./arguments.ts";
import type { Command } from "./command.ts";
import { optionsOf } from "./help.ts";

/** The shells that there are completions for. */
export const SHELLS = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof SHELLS)[number];

/**
 * What a value is completed with: words, file names, directories, commits, commits that record a
 * job, ids of open jobs, both of these, or nothing.
 */
type Completed = "words" | "files" | "dirs" | "commits" | "records" | "jobs" | "targets" | "none";

/** Returns how the value of an option is completed, which its name in the help tells. */
function valueOf({ choices, value = "" }: OptionSpec): Completed {
  if (choices !== undefined) return "words";
  if (/DATASET|DIR/.test(value)) return "dirs";
  if (/PATH|FILE/.test(value)) return "files";
  return /COMMIT/.test(value) ? "commits" : "none";
}

/** Returns how operands are completed, which the usage line tells. */
function operandOf({ operands, usage }: Command): Completed | "command" {
  if (operands === "command") return "command";
  if (operands === "none") return "none";
  if (/JOBID/.test(usage)) return /COMMIT/.test(usage) ? "targets" : "jobs";
  if (/COMMIT/.test(usage)) return "records";
  if (/PATH|FILE/.test(usage)) return "files";
  return "none";
}

/** The words that stand for themselves as an operand, such as `bash|zsh|fish`. */
function operandWords({ usage }: Command): string[] {
  return /^[a-z|-]+$/.test(usage) ? usage.split("|") : [];
}

/** Returns the completion script of a shell. It starts no program for what is in it already. */
export function completionScript(shell: Shell, commands: readonly Command[]): string {
  const shown = commands.filter(({ hidden }) => hidden !== true);
  const script = { bash: bashScript, zsh: zshScript, fish: fishScript }[shell];
  return script(shown).join("\n") + "\n";
}

/** All names of a command: its own is in the lists, the others are known as well. */
function namesOf({ name, aliases }: Command): string[] {
  return [name, ...aliases];
}

function flagsOf({ name, short }: OptionSpec): string[] {
  return short === undefined ? [`--${name}`] : [`-${short}`, `--${name}`];
}

/** A word in single quotes for sh, bash and zsh. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

const RECORDS = "--fixed-strings --grep='[DATALAD '";

/** The most commits that are offered; the newest. */
const MOST = 200;

function bashScript(commands: readonly Command[]): string[] {
  return [
    "# bash completion for datalad-slurm, made by: datalad-slurm completion bash",
    "",
    "_datalad_slurm_command() {",
    "    options= values= operands=none words=",
    '    case "$1" in',
    ...commands.flatMap((command) => {
      const options = optionsOf(command);
      const values = options.filter(({ value }) => value !== undefined).flatMap((option) =>
        flagsOf(option).map((flag) =>
          // A value that may be left out is only taken behind an equals sign.
          `${flag}${option.optionalValue === true ? "=" : ":"}${valueOf(option)}:${
            (option.choices ?? []).join(",")
          }`
        )
      );
      const words = operandWords(command);
      return [
        `    ${namesOf(command).join("|")})`,
        `        options=${quoted(options.flatMap(flagsOf).join(" "))}`,
        `        values=${quoted(` ${values.join(" ")} `)}`,
        ...(words.length > 0
          ? [`        operands=words words=${quoted(words.join(" "))}`]
          : [`        operands=${operandOf(command)}`]),
        "        ;;",
      ];
    }),
    "    esac",
    "}",
    "",
    "# Sets kind and words to what the value of option $1 is completed with; fails for a flag.",
    "_datalad_slurm_value() {",
    "    local rest",
    '    case "$values" in',
    '    *" $1:"*) rest=${values#*" $1:"} ;;',
    '    *" $1="*) [ "$2" = "=" ] || return 1; rest=${values#*" $1="} ;;',
    "    *) return 1 ;;",
    "    esac",
    "    rest=${rest%% *}",
    "    kind=${rest%%:*} words=${rest#*:}",
    "    words=${words//,/ }",
    "}",
    "",
    "# Offers lines: a word, a tab and what it is. That is shown in lists only.",
    "_datalad_slurm_offer() {",
    "    local line",
    "    while IFS= read -r line; do",
    '        case "$line" in "$cur"*) ;; *) continue ;; esac',
    '        if [ "${COMP_TYPE:-9}" = 63 ]; then COMPREPLY+=("${line/$\'\\t\'/  }")',
    "        else COMPREPLY+=(\"${line%%$'\\t'*}\"); fi",
    "    done",
    "    # One is inserted, even when it was found for a list.",
    '    if [ "${#COMPREPLY[@]}" = 1 ]; then COMPREPLY=("${COMPREPLY[0]%%  *}"); fi',
    "}",
    "",
    "_datalad_slurm_complete() {",
    '    case "$1" in',
    '    words) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;',
    '    files) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;',
    '    dirs) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -d -- "$cur") ;;',
    "    commits)",
    `        _datalad_slurm_offer < <(git -C "$dataset" log -n ${MOST} --format='%h%x09%s' 2>/dev/null)`,
    "        ;;",
    "    records)",
    `        _datalad_slurm_offer < <(git -C "$dataset" log -n ${MOST} ${RECORDS} \\`,
    "            --format='%h%x09%s' 2>/dev/null)",
    "        ;;",
    '    jobs) _datalad_slurm_offer < <("$program" complete -d "$dataset" jobs 2>/dev/null) ;;',
    "    targets)",
    "        _datalad_slurm_offer < <(",
    '            "$program" complete -d "$dataset" jobs 2>/dev/null',
    `            git -C "$dataset" log -n ${MOST} ${RECORDS} --format='%h%x09%s' 2>/dev/null`,
    "        )",
    "        ;;",
    "    esac",
    "}",
    "",
    "_datalad_slurm() {",
    "    local cur=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]} dataset=.",
    "    local command= options= values= operands= words= kind= option= word i only=",
    "    COMPREPLY=()",
    '    [ "$cur" != "=" ] || cur=',
    "    for ((i = 1; i < COMP_CWORD; i++)); do",
    "        word=${COMP_WORDS[i]}",
    '        if [ "$word" = "=" ] && [ -n "$option" ]; then',
    '            _datalad_slurm_value "$option" "=" || kind=',
    "            continue",
    "        fi",
    '        if [ -n "$kind" ]; then',
    '            case "$option" in -d|--dataset) dataset=${word/#\\~/$HOME} ;; esac',
    "            kind= option=",
    "            continue",
    "        fi",
    "        option=",
    '        if [ -z "$command" ]; then',
    "            command=$word",
    '            _datalad_slurm_command "$command"',
    "            continue",
    "        fi",
    '        case "$only$word" in',
    "        --) only=/ ;;",
    '        -*) option=$word; _datalad_slurm_value "$word" || kind= ;;',
    "        *)",
    '            if [ "$operands" = command ]; then',
    '                if declare -F _command_offset >/dev/null; then _command_offset "$i"',
    "                else operands=files; _datalad_slurm_complete files; fi",
    "                return",
    "            fi",
    "            ;;",
    "        esac",
    "    done",
    '    if [ "${COMP_WORDS[COMP_CWORD]}" = "=" ] && [ -n "$option" ]; then',
    '        _datalad_slurm_value "$option" "=" || kind=',
    "    fi",
    '    if [ -n "$kind" ]; then',
    '        _datalad_slurm_complete "$kind"',
    '    elif [ -z "$command" ]; then',
    `        mapfile -t COMPREPLY < <(compgen -W ${
      quoted([...commands.map(({ name }) => name), "help", "--help", "--version"].join(" "))
    } -- "$cur")`,
    '    elif [ "$command" = help ]; then',
    `        mapfile -t COMPREPLY < <(compgen -W ${
      quoted([...commands.map(({ name }) => name), "guide", "config"].join(" "))
    } -- "$cur")`,
    '    elif [ -z "$only" ] && [[ "$cur" == -* ]]; then',
    '        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")',
    '    elif [ "$operands" = command ]; then',
    '        if [ -z "$cur" ]; then COMPREPLY=(sbatch)',
    '        else mapfile -t COMPREPLY < <(compgen -c -- "$cur" | sort -u); fi',
    "    else",
    '        _datalad_slurm_complete "$operands"',
    "    fi",
    "}",
    "",
    "# Where nothing else is known, perhaps a file is meant.",
    "complete -o default -F _datalad_slurm datalad-slurm",
  ];
}

/** Text between the brackets or colons of a specification of zsh's `_arguments`. */
function zshText(text: string): string {
  return text.replace(/[\\[\]:]/g, "\\$&").replaceAll("`", "");
}

function zshAction(option: OptionSpec): string {
  const kind = valueOf(option);
  const label = zshText(option.value ?? "");
  const action = {
    words: `(${(option.choices ?? []).join(" ")})`,
    files: "_files",
    dirs: "_files -/",
    commits: "_datalad_slurm_commits",
    records: "_datalad_slurm_records",
    jobs: "_datalad_slurm_jobs",
    targets: "_datalad_slurm_targets",
    none: " ",
  }[kind];
  return `:${label}:${action}`;
}

function zshScript(commands: readonly Command[]): string[] {
  return [
    "#compdef datalad-slurm",
    "# zsh completion for datalad-slurm, made by: datalad-slurm completion zsh",
    "",
    "# Sets reply to the options that name the dataset.",
    "_datalad_slurm_dataset() {",
    "    reply=.",
    '    if [[ -n "${opt_args[--dataset]}" ]]; then reply=${(Q)opt_args[--dataset]}',
    '    elif [[ -n "${opt_args[-d]}" ]]; then reply=${(Q)opt_args[-d]}; fi',
    "}",
    "",
    "_datalad_slurm_log() {",
    "    local reply; local -a commits",
    "    _datalad_slurm_dataset",
    `    commits=(\${(f)"$(git -C "$reply" log -n ${MOST} "$@" --format='%h:%s' 2>/dev/null)"})`,
    "    _describe -V -t commits commit commits",
    "}",
    "",
    "_datalad_slurm_commits() { _datalad_slurm_log }",
    `_datalad_slurm_records() { _datalad_slurm_log ${RECORDS} }`,
    "",
    "_datalad_slurm_jobs() {",
    "    local reply; local -a jobs",
    "    _datalad_slurm_dataset",
    '    jobs=(${(f)"$("${service:-datalad-slurm}" complete -d "$reply" jobs 2>/dev/null)"})',
    "    jobs=(${jobs//:/\\\\:})",
    "    jobs=(${jobs/$'\\t'/:})",
    "    _describe -V -t jobs 'open job' jobs",
    "}",
    "",
    "_datalad_slurm_targets() { _alternative 'jobs:open job:_datalad_slurm_jobs' \\",
    "    'commits:commit:_datalad_slurm_records' }",
    "",
    "_datalad-slurm() {",
    "    local context state state_descr line curcontext=$curcontext",
    "    typeset -A opt_args",
    "    local -a subcommands",
    "    subcommands=(",
    ...commands.map(({ name, summary }) => `        ${quoted(`${name}:${summary}`)}`),
    "        'help:Show how a command is called'",
    "    )",
    "    _arguments -C '(- *)'{-h,--help}'[Show the commands]' '(- *)--version[Show the version]' \\",
    "        '1:command:->command' '*::argument:->arguments'",
    '    case "$state" in',
    "    command) _describe -t commands command subcommands ;;",
    "    arguments)",
    '        curcontext="${curcontext%:*:*}:datalad-slurm-$words[1]:"',
    '        case "$words[1]" in',
    ...commands.flatMap((command) => [
      `        ${namesOf(command).join("|")})`,
      "            _arguments -s -S : \\",
      ...optionsOf(command).map((option) => `                ${zshOption(option)} \\`),
      `                ${zshOperand(command)}`,
      "            ;;",
    ]),
    "        help) _describe -t commands command subcommands ;;",
    "        esac",
    "        ;;",
    "    esac",
    "}",
    "",
    "# Loaded by compinit it is called at once; sourced it is registered.",
    'if [[ "$funcstack[1]" = _datalad-slurm ]]; then _datalad-slurm "$@"',
    "else compdef _datalad-slurm datalad-slurm; fi",
  ];
}

function zshOption(option: OptionSpec): string {
  const help = `[${zshText(option.help)}]`;
  const flags = flagsOf(option);
  const repeat = option.repeatable === true ? "*" : "";
  const exclusive = repeat === "" && flags.length > 1 ? `(${flags.join(" ")})` : "";
  const action = option.value === undefined ? "" : zshAction(option);
  const specs = flags.map((flag) => {
    if (option.value === undefined) return flag;
    if (option.optionalValue === true) return `${flag}=-`;
    return flag.startsWith("--") ? `${flag}=` : `${flag}+`;
  });
  const optional = option.optionalValue === true ? action.replace(/^:/, "::") : action;
  return specs.map((spec) => quoted(`${exclusive}${repeat}${spec}${help}${optional}`)).join(" ");
}

function zshOperand(command: Command): string {
  const words = operandWords(command);
  if (words.length > 0) return quoted(`1:shell:(${words.join(" ")})`);
  switch (operandOf(command)) {
    case "command":
      return quoted("(-)1:command: _command_names -e") + " " + quoted("*::argument: _normal");
    case "targets":
      return quoted(
        /PATH/.test(command.usage)
          ? '*:job, commit or file:{_alternative "targets:job or commit:_datalad_slurm_targets" ' +
            '"files:file:_files"}'
          : "*:job or commit:_datalad_slurm_targets",
      );
    case "records":
      return quoted("*:commit:_datalad_slurm_records");
    case "jobs":
      return quoted("*:open job:_datalad_slurm_jobs");
    case "files":
      return quoted("*:file:_files");
    default:
      return "";
  }
}

function fishText(text: string): string {
  return `'${text.replace(/[\\']/g, "\\$&").replaceAll("`", "")}'`;
}

function fishScript(commands: readonly Command[]): string[] {
  const names = commands.flatMap(namesOf).join(" ");
  return [
    "# fish completion for datalad-slurm, made by: datalad-slurm completion fish",
    "",
    "function __datalad_slurm_dataset",
    "    set -l words (commandline -opc)",
    "    for at in (seq (count $words))",
    "        switch $words[$at]",
    "            case -d --dataset",
    "                test $at -lt (count $words); and echo $words[(math $at + 1)]; and return",
    "            case '--dataset=*'",
    "                string replace -- --dataset= '' $words[$at]; and return",
    "        end",
    "    end",
    "    echo .",
    "end",
    "",
    "function __datalad_slurm_commits",
    `    git -C (__datalad_slurm_dataset) log -n ${MOST} $argv --format='%h%x09%s' 2>/dev/null`,
    "end",
    "",
    "function __datalad_slurm_records",
    `    __datalad_slurm_commits ${RECORDS}`,
    "end",
    "",
    "function __datalad_slurm_jobs",
    "    set -l program (commandline -opc)[1]",
    "    $program complete -d (__datalad_slurm_dataset) jobs 2>/dev/null",
    "end",
    "",
    "# Succeeds where the command line is one of the commands named.",
    "function __datalad_slurm_is",
    "    set -l words (commandline -opc)",
    "    set -q words[2]; and contains -- $words[2] $argv",
    "end",
    "",
    "# Succeeds before the first word of the job's own command, with options and values that take",
    "# a value in argv.",
    "function __datalad_slurm_before_command",
    "    test (__datalad_slurm_command_at $argv) -eq 0",
    "end",
    "",
    "# Prints where the job's own command begins; 0 before it.",
    "function __datalad_slurm_command_at",
    "    set -l words (commandline -opc)",
    "    set -l at 3",
    "    while test $at -le (count $words)",
    "        switch $words[$at]",
    "            case --",
    "                test $at -lt (count $words); and echo (math $at + 1); or echo 0",
    "                return",
    "            case '-*'",
    "                contains -- $words[$at] $argv; and set at (math $at + 1)",
    "            case '*'",
    "                echo $at",
    "                return",
    "        end",
    "        set at (math $at + 1)",
    "    end",
    "    echo 0",
    "end",
    "",
    "# Completes the job's own command as if it stood alone.",
    "function __datalad_slurm_own_command",
    "    set -l at (__datalad_slurm_command_at $argv)",
    "    set -l words (commandline -opc)",
    "    set -l line",
    "    test $at -gt 0; and set line (string escape -- $words[$at..-1])",
    "    set line (string join ' ' -- $line (commandline -ct))",
    "    test $at -gt 0; or not string match -q -- '-*' $line; and complete -C\"$line\"",
    "end",
    "",
    "complete -c datalad-slurm -f",
    `complete -c datalad-slurm -n 'not __datalad_slurm_is ${names} help' -s h -l help -d 'Show the commands'`,
    `complete -c datalad-slurm -n 'not __datalad_slurm_is ${names} help' -l version -d 'Show the version'`,
    ...commands.map(({ name, summary }) =>
      `complete -c datalad-slurm -n __fish_use_subcommand -a ${name} -d ${fishText(summary)}`
    ),
    "complete -c datalad-slurm -n __fish_use_subcommand -a help -d 'Show how a command is called'",
    `complete -c datalad-slurm -n '__datalad_slurm_is help' -a '${
      commands.map(({ name }) => name).join(" ")
    } guide config'`,
    ...commands.flatMap(fishCommand),
  ];
}

function fishCommand(command: Command): string[] {
  const options = optionsOf(command);
  const withValue = options.filter(({ value, optionalValue }) =>
    value !== undefined && optionalValue !== true
  ).flatMap(flagsOf).join(" ");
  const isCommand = command.operands === "command";
  const here = `__datalad_slurm_is ${namesOf(command).join(" ")}`;
  const condition = isCommand
    ? `-n '${here}; and __datalad_slurm_before_command ${withValue}'`
    : `-n '${here}'`;
  const words = operandWords(command);
  const operand = words.length > 0 ? words.join(" ") : {
    command: `(__datalad_slurm_own_command ${withValue})`,
    targets: "(__datalad_slurm_jobs; __datalad_slurm_records)",
    records: "(__datalad_slurm_records)",
    jobs: "(__datalad_slurm_jobs)",
    files: "(__fish_complete_path (commandline -ct))",
    commits: "",
    dirs: "",
    words: "",
    none: "",
  }[operandOf(command)];
  return [
    "",
    ...options.map((option) =>
      [
        `complete -c datalad-slurm ${condition}`,
        ...(option.short === undefined ? [] : [`-s ${option.short}`]),
        `-l ${option.name}`,
        ...fishValue(option),
        `-d ${fishText(option.help)}`,
      ].join(" ")
    ),
    ...(operand === ""
      ? []
      : [`complete -c datalad-slurm -n '${here}' -k -a ${fishText(operand)}`]),
    ...(/PATH/.test(command.usage) && !isCommand
      ? [`complete -c datalad-slurm -n '${here}' -F`]
      : []),
  ];
}

function fishValue(option: OptionSpec): string[] {
  if (option.value === undefined) return [];
  const words = (option.choices ?? []).join(" ");
  const required = option.optionalValue === true ? [] : ["-x"];
  switch (valueOf(option)) {
    case "words":
      return [...required, `-a '${words}'`];
    case "files":
      return ["-r", "-F"];
    case "dirs":
      return [...required, "-a '(__fish_complete_directories (commandline -ct))'"];
    case "commits":
      return [...required, "-k", "-a '(__datalad_slurm_commits)'"];
    default:
      return required;
  }
}
