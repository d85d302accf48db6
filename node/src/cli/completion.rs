//! `regatta completion`: completions for shells, which ask the node for names of devices.

use clap::{Args, ValueEnum};
use clap_complete::{Shell, generate};

use super::console::{Console, Done};
use crate::exit::Exit;

/// What was typed.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: For,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum For {
    /// source <(regatta completion bash)
    Bash,
    /// regatta completion zsh > "${fpath[1]}/_regatta"
    Zsh,
    /// regatta completion fish > ~/.config/fish/completions/regatta.fish
    Fish,
}

/// Commands whose arguments are names of devices.
const NAMING: [&str; 8] = [
    "describe", "label", "revoke", "forget", "replace", "renew", "ping", "path",
];

/// Prints the script.
///
/// # Errors
/// When the output cannot be written.
pub fn run(arguments: Arguments, console: &mut Console<'_>) -> Done {
    let shell = match arguments.shell {
        For::Bash => Shell::Bash,
        For::Zsh => Shell::Zsh,
        For::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut super::command(), "regatta", &mut script);
    // Bash's generator lists hidden commands too.
    let script = String::from_utf8_lossy(&script).replace(" __names\"", "\"");
    let script = match arguments.shell {
        For::Bash => format!("{script}\n{}", bash()),
        For::Zsh => zsh(&script),
        For::Fish => format!("{script}\n{}", fish()),
    };
    console.out.write_all(script.as_bytes())?;
    Ok(Exit::ALL)
}

/// Names are added to what the generated function found, wherever no option is typed.
fn bash() -> String {
    format!(
        "\
_regatta_with_names() {{
    _regatta \"$@\"
    local word
    [[ \"$2\" == -* ]] && return
    for word in \"${{COMP_WORDS[@]:1:COMP_CWORD-1}}\"; do
        case \"$word\" in
            {})
                COMPREPLY+=($(compgen -W \"$(regatta __names 2>/dev/null)\" -- \"$2\"))
                return
                ;;
        esac
    done
}}
complete -F _regatta_with_names -o bashdefault -o default regatta
",
        NAMING.join("|")
    )
}

/// Positional arguments called NAME take names instead of files.
fn zsh(script: &str) -> String {
    let names = "\
_regatta_names() {
    local -a names
    names=(${(f)\"$(regatta __names 2>/dev/null)\"})
    compadd -a names
}

";
    let mut changed = String::new();
    for line in script.lines() {
        let positional =
            line.starts_with("'*::") || line.starts_with("'::") || line.starts_with("':");
        let named = ["names -- ", "name -- ", "words -- "]
            .iter()
            .any(|word| line.contains(word));
        if positional && named {
            changed.push_str(&line.replace(":_default'", ":_regatta_names'"));
        } else {
            if line.starts_with("if [ \"$funcstack[1]\"") {
                changed.push_str(names);
            }
            changed.push_str(line);
        }
        changed.push('\n');
    }
    changed
}

fn fish() -> String {
    format!(
        "complete -c regatta -n \"__fish_seen_subcommand_from {}\" -f -a \"(regatta __names 2>/dev/null)\"\n",
        NAMING.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_take_names_are_there() {
        let command = super::super::command();
        for name in NAMING {
            assert!(command.find_subcommand(name).is_some(), "{name}");
        }
    }
}
