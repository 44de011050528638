//! Shell completions and the manual page, made from the same grammar that parses the command line.

use std::io;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::Failure;
use super::args::Cli;
use super::output;

/// Prints a completion script.
pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "claude-agent", &mut script);
    output::raw(&String::from_utf8_lossy(&script))
}

/// Prints the manual page: the program itself, then each of its commands.
pub(super) fn manual() -> Result<(), Failure> {
    let mut command = Cli::command();
    command.build();
    let mut page = Vec::new();
    render(&command, &mut page).map_err(Failure::internal)?;
    output::raw(&String::from_utf8_lossy(&page))
}

/// The whole page in one, so without the list of commands that would refer to pages of their own.
fn render(program: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(program.clone());
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    render_commands(program, page)?;
    man.render_extra_section(page)?;
    man.render_version_section(page)
}

fn render_commands(parent: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let commands = parent
        .get_subcommands()
        .filter(|command| !command.is_hide_set() && command.get_name() != "help");
    for command in commands {
        if command.has_subcommands() {
            render_commands(command, page)?;
            continue;
        }
        let man = Man::new(command.clone());
        man.render_name_section(page)?;
        man.render_synopsis_section(page)?;
        man.render_options_section(page)?;
        man.render_extra_section(page)?;
    }
    Ok(())
}
