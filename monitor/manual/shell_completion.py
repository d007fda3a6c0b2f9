"""`ramslot completion`: print what makes a shell complete our command line."""

from __future__ import annotations

import sys
from shlex import quote

from .words import FILES, option_names, options, subcommands, values_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..command_line.option import Option

USAGE = """\
usage: {program} completion bash|fish|zsh

prints what makes a shell complete the command line:

    source <({program} completion bash)         in ~/.bashrc
    source <({program} completion zsh)          in ~/.zshrc, behind compinit
    {program} completion fish | source          in ~/.config/fish/config.fish"""
_BASH = """\
# Completion of ramslot for bash: source <(ramslot completion bash)
_ramslot() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD - 1]}} words="" dash=""
    COMPREPLY=()
    if ((COMP_CWORD > 1)); then
        case ${{COMP_WORDS[1]}} in
{subcommands}
        esac
        if [[ -n $words ]]; then
            ((COMP_CWORD > 2)) && [[ $cur != -* ]] && words=""
            COMPREPLY=($(compgen -W "$words" -- "$cur"))
            [[ -n $words && ${{#COMPREPLY[@]}} -gt 0 ]] || COMPREPLY=($(compgen -f -- "$cur"))
            return
        fi
    fi
    [[ $prev == --* ]] && prev=${{prev#-}}
    case $prev in
{values}
    esac
    if [[ -n $words ]]; then
        COMPREPLY=($(compgen -W "$words" -- "$cur"))
        return
    fi
    [[ $cur == --* ]] && dash=- && cur=${{cur#-}}
    words={options}
    ((COMP_CWORD == 1)) && words="$words "{names}
    COMPREPLY=($(compgen -P "$dash" -W "$words" -- "$cur"))
}}
complete -F _ramslot ramslot
"""
_ZSH = """\
#compdef ramslot
# Completion of ramslot for zsh: source <(ramslot completion zsh), or a file _ramslot in $fpath
_ramslot() {{
    local -a found
    if ((CURRENT > 2)); then
        case $words[2] in
{subcommands}
        esac
    fi
    case ${{words[CURRENT-1]/#--/-}} in
{values}
    esac
    found=(
{options}
    )
    [[ $PREFIX == --* ]] && found=(-$^found)
    _describe -o option found
    if ((CURRENT == 2)); then
        found=(
{names}
        )
        _describe command found
    fi
}}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _ramslot "$@"; else compdef _ramslot ramslot; fi
"""


def bash() -> str:
    """The function that bash calls."""

    def value(option: Option) -> str:
        names, values = "|".join(option_names(option)), values_of(option)
        if values == FILES:
            return f'        {names}) COMPREPLY=($(compgen -f -- "$cur")); return ;;'
        if not values:
            return f"        {names}) return ;;"
        return f"        {names}) words={quote(' '.join(values))} ;;"

    return _BASH.format(
        subcommands="\n".join(
            f"            {each.name}) words={quote(' '.join([*each.words, *each.options]) or ' ')} ;;"
            for each in subcommands()
        ),
        values="\n".join(value(option) for option in options() if option.takes_value),
        options=quote(" ".join(name for option in options() for name in option_names(option))),
        names=quote(" ".join(each.name for each in subcommands())),
    )


def zsh() -> str:
    """The function that zsh calls."""

    def value(option: Option) -> str:
        names, values = "|".join(option_names(option)), values_of(option)
        if values == FILES:
            return f"        {names}) _files; return ;;"
        if not values:
            return f"        {names}) return ;;"
        return f"        {names}) compadd -- {' '.join(map(quote, values))}; return ;;"

    return _ZSH.format(
        subcommands="\n".join(
            f"            {each.name}) compadd -- {' '.join([*each.words, *each.options])}; _files; return ;;"
            for each in subcommands()
        ),
        values="\n".join(value(option) for option in options() if option.takes_value),
        options="\n".join(
            f"        {quote(f'{name}:{_first_line(option)}')}" for option in options() for name in option_names(option)
        ),
        names="\n".join(f"            {quote(f'{each.name}:{each.help}')}" for each in subcommands()),
    )


def fish() -> str:
    """The declarations that fish reads."""
    lines = ["# Completion of ramslot for fish: ramslot completion fish | source"]
    first = "-n __fish_use_subcommand"
    for each in subcommands():
        lines.append(f"complete -c ramslot {first} -f -a {each.name} -d {_fish(each.help)}")
        within = f"-n '__fish_seen_subcommand_from {each.name}'"
        lines += [f"complete -c ramslot {within} -a {word}" for word in each.words]
        lines += [f"complete -c ramslot {within} -o {option[1:]}" for option in each.options]
    names = " ".join(each.name for each in subcommands())
    for option in options():
        # Not as short ones (-s), of which -mach would be -m with a value.
        words = [name[1:] for name in option_names(option)]
        given = " ".join([f"-o {word}" for word in words] + [f"-l {word}" for word in words if len(word) > 1])
        values = values_of(option)
        kind = "-r -F" if values == FILES else f"-x -a {_fish(' '.join(values))}" if values else "-x"
        lines.append(
            f"complete -c ramslot -n 'not __fish_seen_subcommand_from {names}' {given} "
            f"{kind if option.takes_value else '-f'} -d {_fish(_first_line(option))}"
        )
    return "\n".join(lines) + "\n"


def _first_line(option: Option) -> str:
    return option.help.partition("\n")[0]


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


SHELLS: dict[str, Callable[[], str]] = {"bash": bash, "fish": fish, "zsh": zsh}
"""The shells there is completion for."""


def run_completion_command(program: str, words: list[str]) -> int:
    """Carry out `completion SHELL` and return the exit status."""
    if len(words) != 1 or words[0] not in SHELLS:
        asked = words[:1] in (["-help"], ["--help"], ["-h"])
        print(USAGE.format(program=program), file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 1
    sys.stdout.write(SHELLS[words[0]]())
    return 0
