//! Shell completions and the manual page, made from the same grammar that parses the command line.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Failure;
use super::args::Cli;
use super::output;

/// Prints a completion script.
pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "claude-agent", &mut script);
    output::raw(&String::from_utf8_lossy(&script))
}

/// Prints the manual page: the command itself, then each of its commands.
pub(super) fn manual() -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone())
        .render(&mut page)
        .map_err(Failure::internal)?;
    for sub in command
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
    {
        let man = clap_mangen::Man::new(sub.clone());
        for part in [
            clap_mangen::Man::render_name_section,
            clap_mangen::Man::render_synopsis_section,
        ] {
            part(&man, &mut page).map_err(Failure::internal)?;
        }
        clap_mangen::Man::render_options_section(&man, &mut page).map_err(Failure::internal)?;
    }
    output::raw(&String::from_utf8_lossy(&page))
}
