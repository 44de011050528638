//! The `claude-agent` command.

fn main() {
    std::process::exit(claude_agent::cli::main(std::env::args_os()));
}
