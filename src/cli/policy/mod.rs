//! `offergate policy …`: which caller may do what, and why. The gateway's own `Policy` and
//! `Tokens` decide here, too, so the answers are those of a running gateway.

mod case;
mod explain;
mod refusal;
mod table;
mod text;
mod token;

use std::process::ExitCode;

use clap::Subcommand;

use super::config_args::ConfigArgs;

#[derive(Subcommand)]
pub enum PolicyCommand {
    /// Explain whether a caller may do something, and which rule of which file decides
    #[command(after_help = explain::AFTER_HELP)]
    Explain(Box<explain::ExplainArgs>),
    /// Print which caller may do what: one line for each rule of each caller
    Table(ConfigArgs),
}

pub fn run(command: PolicyCommand) -> ExitCode {
    match command {
        PolicyCommand::Explain(args) => explain::run(*args),
        PolicyCommand::Table(config) => table::run(config),
    }
}
