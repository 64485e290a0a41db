//! `offergate policy explain`: may they, and by which rule?

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use tokio::task::LocalSet;

use super::case::{Case, Explanation};
use super::text::shown;
use super::token::{self, KeysFrom};
use crate::cli::config_args::ConfigArgs;
use crate::cli::exit::{unavailable, usage};
use crate::cli::runtime::block_on;
use crate::domain::{Action, CallerName, OfferId, PublisherId, Redactor};
use crate::identity::{KeySet, Tokens};
use crate::startup::access;

pub const AFTER_HELP: &str = "\
Exit code: 0 allowed, 1 denied, 2 the question makes no sense, 78 the configuration is wrong.
A token that is not checked is explained as if it were good; the output says so.";

/// The longest token that is read, in bytes. The gateway takes far shorter ones.
const MAX_TOKEN: u64 = 64 * 1024;
/// The longest key set that is read, in bytes; as the gateway does.
const MAX_KEY_SET: u64 = 512 * 1024;
/// A shorter text is no token; taken for a secret, it would be cut out of words.
const MIN_SECRET: usize = 16;

#[derive(Args)]
pub struct ExplainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    who: Who,
    /// What they want to do: read, cancel, publish, go-live or write
    #[arg(long, value_name = "ACTION")]
    action: Action,
    /// To which offer
    #[arg(long, value_name = "ID", value_parser = OfferId::parse)]
    offer: OfferId,
    /// Of which publisher, instead of the caller's default_publisher
    #[arg(long, value_name = "P", value_parser = PublisherId::parse)]
    publisher: Option<PublisherId>,
    /// Check the token's signature with this key set, and do not fetch its issuer's
    #[arg(
        long,
        value_name = "FILE",
        requires = "token",
        conflicts_with = "caller"
    )]
    jwks: Option<PathBuf>,
    /// Fetch no keys: the token's signature is not checked
    #[arg(long, requires = "token", conflicts_with_all = ["caller", "jwks"])]
    offline: bool,
}

/// Who wants to do it.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct Who {
    /// Who wants to do it: the name of a caller
    #[arg(long, value_name = "NAME", value_parser = CallerName::parse)]
    caller: Option<CallerName>,
    /// Whoever sends the JWT in this file (-: standard input); it is never shown
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
    let case = Case {
        settings: &loaded.settings,
        policy: &access.policy,
        action: args.action,
        offer: args.offer,
        publisher: args.publisher,
    };
    let path = match (args.who.caller, args.who.token) {
        (Some(name), _) => return print(&case.decide(&name, ""), &Redactor::default()),
        (None, Some(path)) => path,
        (None, None) => return usage("--caller or --token is needed"),
    };
    let keys = match (&args.jwks, args.offline) {
        (Some(path), _) => key_set(path).map(KeysFrom::File),
        (None, true) => Ok(KeysFrom::Nowhere),
        (None, false) => Ok(KeysFrom::Issuer(refreshers)),
    };
    match keys.and_then(|keys| Ok((keys, read_token(&path)?))) {
        Ok((keys, text)) => by_token(&case, access.identity.tokens(), &text, keys),
        Err(message) => usage(&message),
    }
}

fn by_token(case: &Case<'_>, tokens: &Tokens, text: &str, keys: KeysFrom) -> ExitCode {
    // Nothing that is printed holds a token. Should a token hold pieces of itself, or
    // something go wrong here one day, then this holds.
    let redactor = Redactor::default();
    if text.len() >= MIN_SECRET {
        redactor.guard(text);
    }
    block_on(async {
        let explain = token::explain(case, tokens, text, keys);
        print(&LocalSet::new().run_until(explain).await, &redactor)
    })
}

fn print(explanation: &Explanation, redactor: &Redactor) -> ExitCode {
    for line in &explanation.lines {
        println!("{}", redactor.redact(line));
    }
    match explanation.allowed {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// The token in the file. Whoever gives the token for the file's name must not find it
/// in the message.
fn read_token(path: &Path) -> Result<String, String> {
    let bytes = if path == Path::new("-") {
        read(io::stdin().lock(), MAX_TOKEN)
    } else {
        File::open(path).and_then(|file| read(file, MAX_TOKEN))
    };
    let bytes = bytes.map_err(|error| {
        format!("cannot read the file of --token (a file's name or -, not the token): {error}")
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
