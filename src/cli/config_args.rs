//! The options that locate the configuration, and loading it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::exit::EXIT_CONFIG;
use crate::settings::{self, ConfigSource, Loaded};

/// The prefixes of the environment variables that the configuration uses. Others are not
/// kept, since they may be secret.
const PREFIXES: [&str; 3] = ["OFFERGATE_", "AZURE_", "IDENTITY_"];
/// Whole names, in upper or lower case: where most programs look for a proxy.
const NAMES: [&str; 2] = ["HTTPS_PROXY", "NO_PROXY"];

#[derive(Args)]
pub struct ConfigArgs {
    /// Directory with base.toml and the profiles
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Profile: DIR/NAME.toml overrides base.toml
    #[arg(long, value_name = "NAME", requires = "config")]
    profile: Option<String>,
}

impl ConfigArgs {
    /// The source of the configuration, to be read now and at each reload.
    pub fn source(self) -> ConfigSource {
        ConfigSource {
            dir: self.config,
            profile: self.profile,
            // The gateway's variables are Unicode; others can be skipped.
            environment: std::env::vars_os()
                .filter_map(|(name, value)| {
                    Some((name.into_string().ok()?, value.into_string().ok()?))
                })
                .filter(|(name, _)| {
                    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
                        || NAMES.contains(&name.to_ascii_uppercase().as_str())
                })
                .collect(),
        }
    }

    /// Reads the configuration. Its problems are printed to standard error.
    pub fn load(self) -> Result<Loaded, ExitCode> {
        load(&self.source())
    }
}

/// Reads the configuration. Its problems are printed to standard error.
pub fn load(source: &ConfigSource) -> Result<Loaded, ExitCode> {
    settings::load(source).map_err(|error| {
        let count = error.problems().len();
        errln!("offergate: the configuration has {count} problem(s):\n{error}");
        ExitCode::from(EXIT_CONFIG)
    })
}
