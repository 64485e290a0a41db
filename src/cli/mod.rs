//! The command line: one file per subcommand, and the files that they share.

#[macro_use]
mod output;

mod check;
mod config_args;
mod demo;
mod exit;
mod harden;
mod healthcheck;
mod keys;
mod plain;
mod policy;
mod runtime;
mod sandbox;
mod serve;
mod shutdown;
mod token;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::domain::clock;
use config_args::ConfigArgs;

#[derive(Parser)]
#[command(version, about, max_term_width = 100, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway
    Serve(ConfigArgs),
    /// Run the gateway with an emulated vendor in one process, and cancel one offer
    Demo(demo::DemoArgs),
    /// Run only the emulated vendor, for your own tests
    Sandbox(sandbox::SandboxArgs),
    /// Validate the configuration and check that every dependency answers
    Check(ConfigArgs),
    /// Ask a running gateway or sandbox for its health, for containers without a shell; exits 1
    /// if unhealthy
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Inspect the vendor's tokens
    Token {
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// Create API keys for callers
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Explain which caller may do what, and why
    Policy {
        #[command(subcommand)]
        command: policy::PolicyCommand,
    },
}

/// All commands and their options, as `--help` shows them.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Parses the command line and runs the command.
#[must_use]
pub fn run() -> ExitCode {
    clock::start();
    let command = Cli::parse().command;
    let runs_until_stopped = matches!(
        command,
        Command::Serve(_) | Command::Demo(_) | Command::Sandbox(_)
    );
    if !runs_until_stopped && let Err(error) = shutdown::end_by_signals() {
        return exit::unavailable(&format!("signals cannot be handled: {error}"));
    }
    output::finish(match command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Sandbox(args) => sandbox::run(&args),
        Command::Check(args) => check::run(args),
        Command::Healthcheck(args) => healthcheck::run(args),
        Command::Token { command } => token::run(command),
        Command::Keys { command } => keys::run(&command),
        Command::Policy { command } => policy::run(command),
    })
}
