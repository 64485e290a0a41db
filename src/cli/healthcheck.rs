//! `offergate healthcheck`: asks the gateway or the sandbox in a container for its health, so
//! that an image needs neither a shell nor curl.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use actix_web::http::{Method, StatusCode, Uri};
use clap::Args;
use serde_json::Value;
use tokio::task::{LocalSet, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use super::config_args::ConfigArgs;
use super::plain;
use super::runtime::block_on;
use crate::settings;

/// Orchestrators ask every few seconds; a process that takes longer than this, for all that it
/// is asked, is not healthy.
const LIMIT: Duration = Duration::from_secs(3);
const IN_TIME: &str = "within three seconds";
const SANDBOX: &str = "http://127.0.0.1:7070/_sandbox/v1/health";

#[derive(Args)]
pub struct HealthcheckArgs {
    /// Configuration of the gateway, for its admin.listen; what cannot be read is ignored
    #[command(flatten)]
    config: ConfigArgs,
    /// Exit with 1 too if the gateway is alive, but not ready
    #[arg(long)]
    ready: bool,
    /// URL to ask instead, plain HTTP; given several times, the first that accepts connections.
    /// Without: /healthz at admin.listen; without a configuration and --ready, the health of
    /// `offergate sandbox` if nothing listens there
    #[arg(long)]
    url: Vec<String>,
}

/// What to ask.
struct Questions {
    /// Whether the process responds.
    health: String,
    /// Whether it is ready; none if that is not known to be a gateway.
    readiness: Option<String>,
}

pub fn run(args: HealthcheckArgs) -> ExitCode {
    let must_be_ready = args.ready;
    block_on(async {
        let deadline = Instant::now() + LIMIT;
        // Files, names and connections, each of which may hang.
        let choosing = spawn_blocking(move || questions(args));
        let questions = match timeout_at(deadline, choosing).await {
            Ok(Ok(Ok(questions))) => questions,
            Ok(Ok(Err(reason))) => return unhealthy(&reason),
            Ok(Err(_)) | Err(_) => return unhealthy(&format!("no connection {IN_TIME}")),
        };
        let local = LocalSet::new();
        local
            .run_until(asked(questions, must_be_ready, deadline))
            .await
    })
}

async fn asked(questions: Questions, must_be_ready: bool, deadline: Instant) -> ExitCode {
    let url = questions.health;
    if let Err(reason) = ask(&url, deadline).await {
        return unhealthy(&format!("not healthy: {url}: {reason}"));
    }
    // Whether it is ready is told too, and decides only if that is asked for.
    let Some(url) = questions.readiness else {
        return ExitCode::SUCCESS;
    };
    match ask(&url, deadline).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            errln!("offergate: alive, but not ready: {reason}");
            ExitCode::from(u8::from(must_be_ready))
        }
    }
}

fn unhealthy(reason: &str) -> ExitCode {
    errln!("offergate: {reason}");
    ExitCode::FAILURE
}

/// Blocks as long as files, names and connections do.
fn questions(args: HealthcheckArgs) -> Result<Questions, String> {
    let source = args.config.source();
    let gateway = settings::admin_listen(&source).map(reachable);
    let liveness = gateway.map(|gateway| format!("http://{gateway}/healthz"));
    let urls: Vec<String> = if args.url.is_empty() {
        // A sandbox must not answer for a gateway that is dead.
        let may_be_sandbox = !args.ready && !source.is_configured();
        let sandbox = may_be_sandbox.then(|| SANDBOX.to_owned());
        liveness.iter().cloned().chain(sandbox).collect()
    } else {
        args.url
    };
    if urls.is_empty() {
        return Err("admin.listen is not valid; `offergate check` says why".to_owned());
    }
    let listening = urls.iter().find(|url| !refuses_connections(url));
    let Some(health) = listening.cloned() else {
        return Err(format!("connection refused: {}", urls.join(", ")));
    };
    let readiness = gateway
        .filter(|_| liveness.as_ref() == Some(&health))
        .map(|gateway| format!("http://{gateway}/readyz"));
    Ok(Questions { health, readiness })
}

/// Where a listener on this machine can be reached.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => Ipv4Addr::LOCALHOST.into(),
        _ => Ipv6Addr::LOCALHOST.into(),
    };
    (ip, listen.port()).into()
}

/// Whether nothing listens there. Any other error is found by the request itself.
fn refuses_connections(url: &str) -> bool {
    let uri = Uri::try_from(url).ok();
    let authority = uri.as_ref().and_then(Uri::authority);
    let Some(Ok(mut addresses)) = authority.map(|it| it.as_str().to_socket_addrs()) else {
        return false;
    };
    addresses.all(|address| {
        TcpStream::connect_timeout(&address, LIMIT)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
}

async fn ask(url: &str, deadline: Instant) -> Result<(), String> {
    let asking = plain::send(Method::GET, url, Vec::new(), LIMIT);
    let answer = timeout_at(deadline, asking).await;
    let (status, body) = answer.map_err(|_elapsed| format!("no answer {IN_TIME}"))??;
    if status.is_success() {
        return Ok(());
    }
    Err(reasons(status, &body))
}

/// What the answer gives as its reasons.
fn reasons(status: StatusCode, body: &str) -> String {
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    let reasons = body["reasons"].as_array().into_iter().flatten();
    let reasons: Vec<String> = reasons
        .filter_map(Value::as_str)
        .map(|reason| reason.escape_debug().to_string())
        .collect();
    if reasons.is_empty() {
        format!("the response is {status}")
    } else {
        reasons.join("; ")
    }
}
