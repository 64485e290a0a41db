//! `offergate policy …`: which caller may do what, and why. The decisions come from the
//! gateway's own `Policy` and `Tokens`, so they equal those of a running gateway.

mod explain;
mod query;
mod rejection;
mod table;
mod text;
mod token;

use std::process::ExitCode;

use clap::Subcommand;

use super::config_args::ConfigArgs;

#[derive(Subcommand)]
pub enum PolicyCommand {
    /// Explain whether a caller may perform an action, and which rule decides
    #[command(after_help = explain::AFTER_HELP)]
    Explain(Box<explain::ExplainArgs>),
    /// Print the rules of all callers, one line per rule
    Table(ConfigArgs),
}

pub fn run(command: PolicyCommand) -> ExitCode {
    match command {
        PolicyCommand::Explain(args) => explain::run(*args),
        PolicyCommand::Table(config) => table::run(config),
    }
}
