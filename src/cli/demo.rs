//! `offergate demo`: gateway and emulated vendor in one process, and one real cancel over
//! HTTP. It needs no preparation and removes everything it creates.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use clap::Args;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::exit::{EXIT_SOFTWARE, unavailable};
use super::keys::{hex, new_key};
use super::plain;
use super::runtime::{block_on, log_to};
use super::shutdown::Shutdown;
use crate::identity;
use crate::settings::{self, ConfigSource, Settings};
use crate::startup::{Gateway, Progress, StartError};
use crate::telemetry::{LogFormat, LogLevel};
use offergate_sandbox::{Options, Sandbox};

/// The offer that the demo cancels: a publish of it is running in the sandbox.
const OFFER: &str = "contoso-vm";

#[derive(Args)]
pub struct DemoArgs {
    /// Exit after the answer: 0 if the cancel was accepted
    #[arg(long)]
    once: bool,
    /// Port of the gateway; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    port: u16,
    /// Port of health and readiness; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 9090)]
    admin_port: u16,
    /// Port of the emulated vendor; 0 takes a free one
    #[arg(long, value_name = "N", default_value_t = 7070)]
    sandbox_port: u16,
}

pub fn run(args: &DemoArgs) -> ExitCode {
    block_on(async {
        match demo(args).await {
            Ok(code) => code,
            Err(message) => unavailable(&message),
        }
    })
}

async fn demo(args: &DemoArgs) -> Result<ExitCode, String> {
    let progress = Progress::default();
    let shutdown = Shutdown::listen(progress.clone())
        .map_err(|e| format!("signals cannot be handled: {e}"))?;
    let directory = TemporaryDirectory::new()
        .map_err(|e| format!("cannot create a temporary directory: {e}"))?;
    let sandbox = Sandbox::bind(Options {
        listen: loopback(args.sandbox_port),
        ..Options::default()
    })
    .await
    .map_err(|e| {
        format!(
            "cannot listen on port {}: {e}; choose with --sandbox-port",
            args.sandbox_port
        )
    })?;
    let vendor = sandbox.base_url();
    let stop_sandbox = CancellationToken::new();
    let sandbox = tokio::spawn(sandbox.run(stop_sandbox.clone().cancelled_owned()));

    let key =
        new_key().map_err(|e| format!("the operating system provides no random bytes: {e}"))?;
    let settings = settings(args, &vendor, &key, directory.path())?;
    let _log = match log_to(settings.telemetry, std::io::stderr()) {
        Ok(guard) => guard,
        Err(code) => return Ok(code),
    };
    shutdown.set_limit(Gateway::longest_shutdown(&settings.server));
    let gateway = Gateway::start_with(settings, progress)
        .await
        .map_err(|error| match error {
            StartError::Bind { .. } => {
                format!("{error}; choose other ports with --port and --admin-port")
            }
            _ => error.to_string(),
        })?;

    outln!("gateway  {}", gateway.public_url());
    outln!("health   http://{}/readyz", gateway.admin_address());
    outln!("vendor   {vendor} (emulated; its control routes: curl {vendor}/_sandbox/v1/)\n");
    let url = format!("{}/offers/{OFFER}/cancel", gateway.public_url());
    outln!("curl -i -X POST -H 'X-Api-Key: {key}' {url}\n");
    let outcome = LocalSet::new().run_until(cancel(&url, &key)).await;
    let accepted = report(outcome);
    let mut is_sound = true;
    if !args.once {
        outln!(
            "\nServing until Ctrl-C. GET the operationLocation above with the same X-Api-Key to see the outcome of the cancel."
        );
        tokio::select! {
            () = shutdown.requested() => {}
            () = gateway.failed() => is_sound = false,
        }
    }
    shutdown.begin();
    is_sound &= gateway.drain().await;
    stop_sandbox.cancel();
    let _ended = sandbox.await;
    Ok(match (is_sound, accepted || !args.once) {
        (true, true) => ExitCode::SUCCESS,
        (true, false) => ExitCode::FAILURE,
        (false, _) => ExitCode::from(EXIT_SOFTWARE),
    })
}

/// The built-in defaults with the settings of the demo.
fn settings(
    args: &DemoArgs,
    vendor: &str,
    key: &str,
    directory: &Path,
) -> Result<Settings, String> {
    let hash = hex(identity::hash(key.as_bytes()).as_bytes());
    let config = format!(
        r#"
[portal]
base_url = "{vendor}"
[operations]
poll_seconds = 1
settle_seconds = 5
[credentials.sandbox]
kind = "client-secret"
authority = "{vendor}"
tenant_id = "sandbox"
client_id = "offergate"
client_secret = "sandbox-secret"
[[publishers]]
id = "contoso"
credential = "sandbox"
[[callers]]
name = "demo"
default_publisher = "contoso"
api_key_sha256 = ["{hash}"]
allow = [ {{ actions = ["*"], publishers = ["contoso"], offers = ["*"] }} ]
"#
    );
    fs::write(directory.join("demo.toml"), config).map_err(|e| e.to_string())?;
    let source = ConfigSource {
        dir: Some(directory.to_owned()),
        profile: Some("demo".into()),
        ..ConfigSource::default()
    };
    let mut settings = settings::load(&source)
        .map_err(|problems| problems.to_string())?
        .settings;
    settings.server.listen = loopback(args.port);
    settings.server.workers = NonZeroUsize::MIN;
    settings.admin.listen = loopback(args.admin_port);
    settings.ledger.path = directory.join("demo.db");
    settings.telemetry.level = LogLevel::Warn;
    settings.telemetry.format = LogFormat::Pretty;
    Ok(settings)
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

/// Sends the request of the printed curl line.
async fn cancel(url: &str, key: &str) -> Result<(StatusCode, String), String> {
    let mut key = HeaderValue::from_str(key).map_err(|error| error.to_string())?;
    key.set_sensitive(true);
    let headers = vec![(HeaderName::from_static("x-api-key"), key)];
    plain::send(Method::POST, url, headers, Duration::from_secs(30)).await
}

/// Prints the answer; returns whether the cancel was accepted.
fn report(outcome: Result<(StatusCode, String), String>) -> bool {
    match outcome {
        Ok((status, body)) => {
            let pretty = serde_json::from_str::<serde_json::Value>(&body)
                .and_then(|json| serde_json::to_string_pretty(&json))
                .unwrap_or(body);
            outln!("HTTP {status}\n{pretty}");
            status.is_success()
        }
        Err(error) => {
            errln!("offergate: no answer from the gateway: {error}");
            false
        }
    }
}

/// A private directory that is removed on drop.
struct TemporaryDirectory(PathBuf);

impl TemporaryDirectory {
    fn new() -> std::io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let path = std::env::temp_dir().join(format!("offergate-demo-{}", uuid::Uuid::now_v7()));
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TemporaryDirectory {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            errln!(
                "offergate: {} could not be removed: {error}",
                self.0.display()
            );
        }
    }
}
