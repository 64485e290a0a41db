//! `offergate check`: validates the configuration and makes one call to every dependency.

use std::borrow::Cow;
use std::process::ExitCode;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::LocalSet;

use super::config_args::ConfigArgs;
use super::exit::{EXIT_UNAVAILABLE, unavailable};
use super::harden::harden;
use super::runtime::{block_on, log_to};
use crate::admin::{days_until, vendor_remedy};
use crate::credential::Handle;
use crate::domain::{PublisherId, Redactor};
use crate::portal::{Portal, ReadError};
use crate::settings::Settings;
use crate::startup::{access, credentials, options};
use crate::telemetry::LogLevel;
use crate::transport::{SendError, Transport, Unreachable};

/// One line of the table.
struct CheckLine {
    subject: String,
    ok: bool,
    detail: String,
}

pub fn run(args: ConfigArgs) -> ExitCode {
    let mut loaded = match args.load() {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    // The table reports problems; the log would repeat them.
    loaded.settings.telemetry.level = LogLevel::Error;
    let _log = match log_to(loaded.settings.telemetry, std::io::stderr()) {
        Ok(guard) => guard,
        Err(code) => return code,
    };
    if let Err(error) = harden(&loaded.settings) {
        return unavailable(&error);
    }
    for warning in &loaded.warnings {
        outln!("warning  {warning}");
    }
    block_on(async {
        let findings = LocalSet::new().run_until(examine(&loaded.settings)).await;
        print_table(&findings);
        if findings.iter().all(|finding| finding.ok) {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(EXIT_UNAVAILABLE)
        }
    })
}

async fn examine(settings: &Settings) -> Vec<CheckLine> {
    let mut findings = vec![finding("configuration", Ok("read and checked".into()))];
    let redactor = Arc::new(Redactor::default());
    let transports = options::token_transport(settings).and_then(|tokens| {
        Ok((
            tokens,
            Transport::new(&options::portal_transport(settings))?,
        ))
    });
    let (tokens, portal) = match transports {
        Ok(transports) => transports,
        Err(error) => {
            findings.push(finding("TLS", Err(error.to_string())));
            return findings;
        }
    };
    let (refreshers, handles) = credentials::refreshers(settings, &redactor);
    for refresher in refreshers {
        tokio::task::spawn_local(refresher.run(tokens.client()));
    }
    findings.extend(issuers(settings).await);
    let portal = Portal::new(&portal, options::portal(settings, redactor));
    for (name, handle) in &handles {
        findings.push(finding(&format!("credential {name}"), token(handle).await));
    }
    for publisher in &settings.publishers {
        let Some(handle) = handles.get(&publisher.credential) else {
            continue;
        };
        let subject = format!("publisher {}", publisher.id);
        findings.push(finding(
            &subject,
            read(&portal, &publisher.id, handle).await,
        ));
    }
    findings
}

/// Fetches the keys of every issuer of callers' tokens.
async fn issuers(settings: &Settings) -> Vec<CheckLine> {
    let (access, refreshers) = match access::build(settings, None) {
        Ok(built) => built,
        Err(error) => return vec![finding("callers", Err(error.to_string()))],
    };
    for access::NewKeyRefresher {
        refresher,
        transport,
    } in refreshers
    {
        tokio::task::spawn_local(refresher.run(transport.client()));
    }
    let mut findings = Vec::new();
    for issuer in access.identity.tokens().issuers() {
        let subject = format!("issuer {}", issuer.rules.issuer);
        let keys = match issuer.keys.first_fetch().await {
            Ok(count) => Ok(format!("{count} usable key(s) received")),
            Err(Some(failure)) => Err(failure.to_string()),
            Err(None) => Err("no answer from the issuer in time".into()),
        };
        findings.push(finding(&subject, keys));
    }
    findings
}

async fn token(handle: &Handle) -> Result<String, String> {
    // One attempt is enough; retries are not waited for.
    let status = handle.first_attempt().await;
    match (handle.current(), status.failure) {
        (Some(token), _) => Ok(format!(
            "{}: token received, usable for {} s{}",
            status.kind,
            token.usable_for().as_secs(),
            status.expires.map(end_of).unwrap_or_default()
        )),
        (None, Some(failure)) => Err(format!("{}: {failure}", status.kind)),
        (None, None) => Err("no answer from the token endpoint".into()),
    }
}

/// When a credential's secret or certificate expires.
fn end_of(end: Timestamp) -> String {
    match days_until(end) {
        ..0 => "; its secret or certificate HAS EXPIRED".to_owned(),
        days => format!("; its secret or certificate expires in {days} day(s)"),
    }
}

async fn read(portal: &Portal, publisher: &PublisherId, handle: &Handle) -> Result<String, String> {
    let Some(token) = handle.current() else {
        return Err("not called: no token".into());
    };
    match portal.probe(publisher, token.authorization()).await {
        Ok(()) => Ok("the vendor returned the publisher's offers".into()),
        Err(error) => Err(match remedy(&error) {
            Some(remedy) => format!("{error}: {remedy}"),
            None => error.to_string(),
        }),
    }
}

/// The most likely remedy.
fn remedy(error: &ReadError) -> Option<Cow<'static, str>> {
    let remedy = match error {
        ReadError::Unauthorized => vendor_remedy(401),
        ReadError::Status(status @ 403, _) => vendor_remedy(*status),
        ReadError::Status(404, _) => "unknown publisher; check publishers.id",
        ReadError::Status(400, _) => "check portal.api_version",
        ReadError::Status(300..=399, _) => "check portal.base_url (redirects are not followed)",
        ReadError::Status(..) => "try again later",
        ReadError::Malformed => {
            "the response is not the vendor's; check portal.base_url and any proxy"
        }
        ReadError::Send(SendError::NotSent(cause)) => match cause {
            Unreachable::Name => "check the host in portal.base_url, and this machine's DNS",
            Unreachable::Connect => "check portal.base_url and the firewall",
            Unreachable::Timeout => "check the firewall",
            Unreachable::Tls(problem) => return Some(problem.remedy("portal.ca_file").into()),
            // Its text says it.
            Unreachable::Proxy(_) => return None,
            Unreachable::Request => "check portal.base_url",
        },
        ReadError::Send(SendError::Lost(_)) => "check that portal.base_url is the vendor's",
    };
    Some(remedy.into())
}

fn finding(subject: &str, result: Result<String, String>) -> CheckLine {
    let (ok, detail) = match result {
        Ok(detail) => (true, detail),
        Err(detail) => (false, detail),
    };
    CheckLine {
        subject: subject.to_owned(),
        ok,
        detail,
    }
}

fn print_table(findings: &[CheckLine]) {
    let width = findings
        .iter()
        .map(|finding| finding.subject.len())
        .max()
        .unwrap_or(0);
    for CheckLine {
        subject,
        ok,
        detail,
    } in findings
    {
        let mark = if *ok { "ok  " } else { "FAIL" };
        outln!("{mark}  {subject:width$}  {detail}");
    }
}
