//! `offergate token show NAME`: the claims of a credential's token, never the token.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Subcommand;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::task::LocalSet;

use super::config_args::ConfigArgs;
use super::exit::{unavailable, usage};
use super::harden::harden;
use super::runtime::block_on;
use crate::credential::{Handle, TokenFacts};
use crate::domain::Redactor;
use crate::settings::Settings;
use crate::startup::{credentials, options};

#[derive(Subcommand)]
pub enum TokenCommand {
    /// Fetch a credential's token and print its main claims, never the token
    Show {
        /// The credential's name: its table under [credentials]
        name: String,
        #[command(flatten)]
        config: ConfigArgs,
    },
}

pub fn run(command: TokenCommand) -> ExitCode {
    let TokenCommand::Show { name, config } = command;
    let mut settings = match config.load() {
        Ok(loaded) => loaded.settings,
        Err(code) => return code,
    };
    if let Err(error) = harden(&settings) {
        return unavailable(&error);
    }
    settings.credentials.retain(|known, _| *known == name);
    if settings.credentials.is_empty() {
        return usage(
            "NAME is not a credential of the configuration (a table under [credentials])",
        );
    }
    block_on(async { LocalSet::new().run_until(show(&settings)).await })
}

async fn show(settings: &Settings) -> ExitCode {
    let redactor = Arc::new(Redactor::default());
    let transport = match options::token_transport(settings) {
        Ok(transport) => transport,
        Err(error) => return unavailable(&error.to_string()),
    };
    let (refreshers, handles) = credentials::refreshers(settings, &redactor);
    for refresher in refreshers {
        tokio::task::spawn_local(refresher.run(transport.client()));
    }
    for handle in handles.values() {
        match describe(handle).await {
            Ok(lines) => {
                for (name, value) in lines {
                    outln!("{name:12} {}", redactor.redact(&value));
                }
            }
            Err(message) => return unavailable(&message),
        }
    }
    ExitCode::SUCCESS
}

async fn describe(handle: &Handle) -> Result<Vec<(&'static str, String)>, String> {
    let status = handle.first_attempt().await;
    let Some(token) = handle.current() else {
        let failure = status.failure.map(|failure| failure.to_string());
        return Err(failure.unwrap_or_else(|| "the token endpoint has not answered yet".into()));
    };
    let mut lines = vec![("kind", status.kind.to_owned())];
    match token.facts() {
        Some(facts) => lines.extend(claims(facts)),
        None => lines.push(("claims", "none: the token is not a JWT".into())),
    }
    lines.push(("usable for", format!("{} s", token.usable_for().as_secs())));
    Ok(lines)
}

fn claims(facts: TokenFacts) -> Vec<(&'static str, String)> {
    let text = |value: Option<String>| value.map_or("-".into(), |text| shown(&text));
    let expiry = facts
        .exp
        .map(|at| SignedDuration::try_from_secs_f64(at).ok());
    let expiry = expiry
        .flatten()
        .and_then(|at| Timestamp::from_duration(at).ok());
    vec![
        ("audience", listed(&facts.aud)),
        ("application", text(facts.appid.or(facts.azp))),
        ("object", text(facts.oid)),
        ("tenant", text(facts.tid)),
        ("roles", listed(&facts.roles)),
        ("expires", expiry.map_or("-".into(), |at| at.to_string())),
    ]
}

/// A text, or a list of texts.
fn listed(value: &Value) -> String {
    let one = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    match value {
        Value::Null => "-".to_owned(),
        Value::Array(several) => {
            let several: Vec<String> = several.iter().map(one).collect();
            shown(&several.join(", "))
        }
        single => shown(&one(single)),
    }
}

/// The endpoint's text, on one line.
fn shown(text: &str) -> String {
    match text {
        "" => "-".to_owned(),
        text => text.escape_debug().to_string(),
    }
}
