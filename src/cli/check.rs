//! `offergate check`: validates the configuration and makes one call to every dependency.

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
use crate::ledger::Ledger;
use crate::portal::{Portal, ReadError};
use crate::settings::Settings;
use crate::startup::{access, credentials, options};
use crate::telemetry::LogLevel;
use crate::transport::{Transport, trust_warning};

/// One line of the table.
struct CheckLine {
    subject: String,
    ok: bool,
    detail: String,
}

impl CheckLine {
    /// Adds how it was reached, or would have been.
    fn reached(mut self, way: Option<&str>) -> Self {
        if let Some(way) = way {
            self.detail.push_str(&format!(" ({way})"));
        }
        self
    }
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
    if let Some(warning) = trust_warning() {
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
    findings.push(ledger(settings).await);
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
    findings.extend(issuers(settings, &tokens).await);
    let way = portal.way_to(&settings.portal.base_url);
    let portal = Portal::new(&portal, options::portal(settings, redactor));
    for (name, handle) in &handles {
        let method = settings.credentials.get(name).map(|found| &found.method);
        let way = method.and_then(|method| credentials::way_to_endpoint(method, &tokens));
        let token = token(handle).await;
        let subject = format!("credential {name}");
        findings.push(finding(&subject, token).reached(way.as_deref()));
    }
    for publisher in &settings.publishers {
        let Some(handle) = handles.get(&publisher.credential) else {
            continue;
        };
        let subject = format!("publisher {}", publisher.id);
        let offers = read(&portal, &publisher.id, handle).await;
        findings.push(finding(&subject, offers).reached(Some(&way)));
    }
    findings
}

/// Whether `serve` could open the ledger.
async fn ledger(settings: &Settings) -> CheckLine {
    let options = options::ledger(&settings.ledger);
    let path = options.path.display();
    let state = Ledger::examine(&options).await;
    let state = state.map(|state| format!("{path}: {state}"));
    finding("ledger", state.map_err(|error| format!("{path}: {error}")))
}

/// Fetches the keys of every issuer of callers' tokens. Any transport knows the way to them.
async fn issuers(settings: &Settings, any: &Transport) -> Vec<CheckLine> {
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
    let configured = settings.jwt_issuers.iter();
    for (issuer, configured) in access.identity.tokens().issuers().iter().zip(configured) {
        let subject = format!("issuer {}", issuer.rules.issuer);
        let keys = match issuer.keys.first_fetch().await {
            Ok(_) => Ok(issuer.keys.status().to_string()),
            Err(Some(failure)) => Err(failure.to_string()),
            Err(None) => Err("no answer from the issuer in time".into()),
        };
        let address = configured.jwks_url.as_ref();
        let way = any.way_to(address.unwrap_or(&issuer.rules.issuer));
        findings.push(finding(&subject, keys).reached(Some(&way)));
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
        Err(error) => Err(format!("{error}{}", remedy(&error))),
    }
}

/// The most likely remedy, as the end of a sentence.
fn remedy(error: &ReadError) -> String {
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
        ReadError::Send(error) => return error.remedy("portal.ca_file", "portal.base_url"),
    };
    format!(": {remedy}")
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
