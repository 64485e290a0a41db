//! `offergate policy table`: the rules and limits of all callers.

use std::process::ExitCode;

use super::text::{actions, listed, shown};
use crate::cli::config_args::ConfigArgs;
use crate::domain::{CallerLimits, Limit, SharedCapacity};
use crate::ledger::MAX_KEYS;
use crate::settings::{CallerSettings, Settings};

/// Between two columns.
const GAP: &str = "  ";

pub fn run(config: ConfigArgs) -> ExitCode {
    match config.load() {
        Ok(loaded) => {
            outln!("{}", table(&loaded.settings).trim_end());
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}

fn table(settings: &Settings) -> String {
    if settings.callers.is_empty() {
        return "No callers are configured ([[callers]]), so every request is rejected.\n"
            .to_owned();
    }
    let mut rules = vec![
        [
            "CALLER",
            "CREDENTIALS",
            "ACTIONS",
            "PUBLISHERS",
            "OFFERS",
            "RULE",
        ]
        .map(str::to_owned),
    ];
    rules.extend(settings.callers.iter().flat_map(rows));
    let columns = [
        "CALLER",
        "REQUESTS",
        "CONCURRENT ACTIONS",
        "WAITS AND STREAMS",
        "IDEMPOTENCY KEYS",
    ];
    let mut rows = vec![columns.map(str::to_owned)];
    let pools = settings.server.pools();
    rows.extend(settings.callers.iter().map(|caller| limits(caller, pools)));
    format!("{}\n{}", aligned(&rules), aligned(&rows))
}

/// One row for each of the caller's rules, or a single row for a caller without rules.
fn rows(caller: &CallerSettings) -> Vec<[String; 6]> {
    let name = || caller.name.to_string();
    if caller.allow.is_empty() {
        let without_rules = [name(), credentials(caller), "none".to_owned()];
        let [name, credentials, without_rules] = without_rules;
        let none = String::new;
        return vec![[name, credentials, without_rules, none(), none(), none()]];
    }
    let rules = caller.allow.iter();
    rules
        .map(|allow| {
            [
                name(),
                credentials(caller),
                actions(&allow.rule),
                listed(&allow.rule.publishers),
                listed(&allow.rule.offers),
                shown(&allow.place),
            ]
        })
        .collect()
}

/// The kinds of credentials that identify the caller.
fn credentials(caller: &CallerSettings) -> String {
    let keys = match caller.api_key_sha256.len() {
        0 => None,
        1 => Some("key".to_owned()),
        several => Some(format!("{several} keys")),
    };
    let jwt = caller.jwt.as_ref().map(|_| "jwt".to_owned());
    let certificate = (!caller.certificate_san.is_empty()).then(|| "certificate".to_owned());
    listed([keys, jwt, certificate].into_iter().flatten())
}

fn limits(caller: &CallerSettings, pools: SharedCapacity) -> [String; 5] {
    let CallerLimits {
        rate,
        actions,
        waits,
        idempotency_keys,
    } = caller.limits;
    let requests = rate.map_or("-".to_owned(), |rate| {
        format!("{} per second, burst {}", rate.per_second, rate.burst)
    });
    let shown = |own, pool| match Limit::of(own, pool) {
        Limit {
            count,
            is_default: true,
        } => format!("{count} (default)"),
        Limit { count, .. } => count.to_string(),
    };
    let name = caller.name.to_string();
    let (actions, waits) = (shown(actions, pools.actions), shown(waits, pools.waits));
    let keys = shown(idempotency_keys, MAX_KEYS);
    [name, requests, actions, waits, keys]
}

/// The rows as text, each column as wide as its widest cell.
fn aligned<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: [usize; N] = std::array::from_fn(|column| width(column).unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(cells.join(GAP).trim_end());
        text.push('\n');
    }
    text
}
