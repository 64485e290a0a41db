//! `offergate policy explain`: whether a caller may perform an action, and by which rule.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tokio::task::LocalSet;

use super::query::{Explanation, PolicyQuery};
use super::text::shown;
use super::token::{self, SignatureKeys};
use crate::cli::config_args::ConfigArgs;
use crate::cli::exit::{unavailable, usage};
use crate::cli::runtime::block_on;
use crate::domain::{Action, CallerName, OfferId, PublisherId, Redactor};
use crate::identity::{KeySet, Tokens};
use crate::startup::access;

pub const AFTER_HELP: &str = "\
Exit code: 0 allowed, 1 denied, 2 wrong usage, 78 the configuration has problems.
A token whose signature cannot be checked is explained as if it were valid; the output says so.";

/// The longest token that is read, in bytes; well above the gateway's own limit.
const MAX_TOKEN: u64 = 64 * 1024;
/// The longest key set that is read, in bytes; the gateway's limit, too.
const MAX_KEY_SET: u64 = 512 * 1024;
/// The shortest text that is redacted. A shorter one cannot be a token, and redacting it would
/// damage ordinary words.
const MIN_SECRET: usize = 16;

#[derive(Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    requester: Requester,
    /// Action: read, cancel, publish, go-live or write
    #[arg(long, value_name = "ACTION")]
    action: Action,
    /// Id of the offer
    #[arg(long, value_name = "ID", value_parser = OfferId::parse)]
    offer: OfferId,
    /// Id of the publisher; default: the caller's default_publisher
    #[arg(long, value_name = "P", value_parser = PublisherId::parse)]
    publisher: Option<PublisherId>,
    /// Check the token's signature with this JSON Web Key Set instead of fetching the issuer's
    #[arg(
        long,
        value_name = "FILE",
        requires = "token",
        conflicts_with = "caller"
    )]
    jwks: Option<PathBuf>,
    /// Do not fetch the issuer's keys; the token's signature is not checked
    #[arg(long, requires = "token", conflicts_with_all = ["caller", "jwks"])]
    offline: bool,
}

/// The caller, by its name or by a token.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Requester {
    /// Name of the caller
    #[arg(long, value_name = "NAME", value_parser = CallerName::parse)]
    caller: Option<CallerName>,
    /// File with a JWT of the caller (-: standard input); it is never printed
    #[arg(long, value_name = "FILE")]
    token: Option<PathBuf>,
}

pub fn run(args: ExplainArgs) -> ExitCode {
    let loaded = match args.config.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let (access, refreshers) = match access::build(&loaded.settings, None) {
        Ok(built) => built,
        Err(error) => return unavailable(&error.to_string()),
    };
    let query = PolicyQuery {
        settings: &loaded.settings,
        policy: &access.policy,
        action: args.action,
        offer: args.offer,
        publisher: args.publisher,
    };
    let path = match (args.requester.caller, args.requester.token) {
        (Some(name), _) => return print(&query.decide(&name, ""), &Redactor::default()),
        (None, Some(path)) => path,
        (None, None) => return usage("give --caller or --token"),
    };
    let keys = match (&args.jwks, args.offline) {
        (Some(path), _) => key_set(path).map(SignatureKeys::File),
        (None, true) => Ok(SignatureKeys::Offline),
        (None, false) => Ok(SignatureKeys::Issuer(refreshers)),
    };
    match keys.and_then(|keys| Ok((keys, read_token(&path)?))) {
        Ok((keys, text)) => by_token(&query, access.identity.tokens(), &text, keys),
        Err(message) => usage(&message),
    }
}

fn by_token(query: &PolicyQuery<'_>, tokens: &Tokens, text: &str, keys: SignatureKeys) -> ExitCode {
    // A second safeguard: the lines contain claims only, but a claim may repeat parts of the
    // token.
    let redactor = Redactor::default();
    if text.len() >= MIN_SECRET {
        redactor.guard(text);
    }
    block_on(async {
        let explain = token::explain(query, tokens, text, keys);
        print(&LocalSet::new().run_until(explain).await, &redactor)
    })
}

fn print(explanation: &Explanation, redactor: &Redactor) -> ExitCode {
    for line in &explanation.lines {
        outln!("{}", redactor.redact(line));
    }
    match explanation.allowed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// The token in the file. Error messages omit the file name, in case the token itself was
/// given in its place.
fn read_token(path: &Path) -> Result<String, String> {
    let bytes = if path == Path::new("-") {
        read(io::stdin().lock(), MAX_TOKEN)
    } else {
        File::open(path).and_then(|file| read(file, MAX_TOKEN))
    };
    let bytes = bytes.map_err(|error| {
        format!(
            "cannot read the file of --token (it takes a file name or -, not the token): {error}"
        )
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim();
    Ok(match text.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start(),
        _ => text,
    }
    .to_owned())
}

fn key_set(path: &Path) -> Result<KeySet, String> {
    let named = |error: &dyn std::fmt::Display| {
        let path = shown(&path.to_string_lossy());
        format!("cannot use {path} (--jwks): {error}")
    };
    let file = File::open(path).and_then(|file| read(file, MAX_KEY_SET));
    let document = file.map_err(|error| named(&error))?;
    KeySet::parse(&document, None).map_err(|error| named(&error))
}

fn read(source: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::other(format!("longer than {limit} bytes"))),
        false => Ok(bytes),
    }
}
