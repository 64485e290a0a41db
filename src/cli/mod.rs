//! The command line: one file a subcommand.

mod check;
mod demo;
mod harden;
mod healthcheck;
mod keys;
mod plain;
mod policy;
mod sandbox;
mod serve;
mod shutdown;
mod token;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use harden::harden;

use crate::settings::{self, Loaded, Source};
use crate::telemetry::LogOptions;

/// The configuration is wrong (`EX_CONFIG` of sysexits.h).
const EXIT_CONFIG: u8 = 78;
/// Something that the gateway needs is not there (`EX_UNAVAILABLE`).
const EXIT_UNAVAILABLE: u8 = 69;

/// A gateway that cancels marketplace offers for callers who never hold the
/// vendor's credential.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway
    Serve(ConfigArgs),
    /// Run gateway and emulated vendor in one process, and cancel one offer
    Demo(demo::DemoArgs),
    /// Run the emulated vendor alone, for your own tests
    Sandbox(sandbox::SandboxArgs),
    /// Say whether the configuration is right and the dependencies answer
    Check(ConfigArgs),
    /// Ask a running gateway for its health: 0 if it is well, for containers without a shell
    Healthcheck(healthcheck::HealthcheckArgs),
    /// Look at the vendor's tokens
    Token {
        #[command(subcommand)]
        command: token::TokenCommand,
    },
    /// Make API keys
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Explain who may do what, and why
    Policy {
        #[command(subcommand)]
        command: policy::PolicyCommand,
    },
}

/// How the names of variables begin that the configuration looks at.
const CONFIGURING: [&str; 3] = ["OFFERGATE_", "AZURE_", "IDENTITY_"];

/// Where the configuration is.
#[derive(Args)]
struct ConfigArgs {
    /// Directory of base.toml and the profiles
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Profile: DIR/NAME.toml is laid over the rest
    #[arg(long, value_name = "NAME", requires = "config")]
    profile: Option<String>,
}

impl ConfigArgs {
    /// Where to read the configuration from, now and later.
    fn source(self) -> Source {
        Source {
            dir: self.config,
            profile: self.profile,
            // A variable that is no Unicode cannot be one of ours.
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                // The rest is none of our business, and may be secret.
                .filter(|(name, _)| CONFIGURING.iter().any(|of_ours| name.starts_with(of_ours)))
                .collect::<BTreeMap<String, String>>(),
        }
    }

    /// Reads the configuration; what is wrong with it goes to standard error.
    fn load(self) -> Result<Loaded, ExitCode> {
        load(&self.source())
    }
}

fn load(source: &Source) -> Result<Loaded, ExitCode> {
    settings::load(source).map_err(|problems| {
        eprintln!(
            "offergate: the configuration has {} problem(s):",
            problems.as_slice().len()
        );
        eprintln!("{problems}");
        ExitCode::from(EXIT_CONFIG)
    })
}

/// Parses the command line and does what it says.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Sandbox(args) => sandbox::run(&args),
        Command::Check(args) => check::run(args),
        Command::Healthcheck(args) => healthcheck::run(&args),
        Command::Token { command } => token::run(command),
        Command::Keys { command } => keys::run(&command),
        Command::Policy { command } => policy::run(command),
    }
}

/// Runs `main` on a runtime of several threads: inside actix's own
/// single-threaded one, what blocks at shutdown would block everything.
fn block_on(main: impl Future<Output = ExitCode>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(main);
            // Whoever is told twice to stop does not wait for what still blocks.
            runtime.shutdown_background();
            code
        }
        Err(error) => unavailable(&format!("no runtime: {error}")),
    }
}

fn unavailable(message: &str) -> ExitCode {
    eprintln!("offergate: {message}");
    ExitCode::from(EXIT_UNAVAILABLE)
}

/// Logs to standard output, or to standard error where that carries something else.
fn log_to(
    telemetry: &settings::Telemetry,
    writer: impl io::Write + Send + 'static,
) -> Result<crate::telemetry::LogGuard, ExitCode> {
    let options = LogOptions {
        level: telemetry.log_level,
        format: telemetry.log_format,
    };
    crate::telemetry::init(options, writer).map_err(|error| unavailable(&error.to_string()))
}
