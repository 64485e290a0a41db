//! `offergate healthcheck`: asks the gateway or the sandbox in a container for its health, so
//! that an image needs neither a shell nor curl.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use actix_web::http::{Method, StatusCode, Uri};
use clap::Args;
use serde_json::Value;
use tokio::task::LocalSet;

use super::config_args::ConfigArgs;
use super::plain;
use super::runtime::block_on;
use crate::settings;

/// Orchestrators ask every few seconds; a process that takes longer than this is not healthy.
const TIMEOUT: Duration = Duration::from_secs(3);
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
    /// Without: /healthz at admin.listen, or else the health of `offergate sandbox`
    #[arg(long)]
    url: Vec<String>,
}

pub fn run(args: HealthcheckArgs) -> ExitCode {
    let admin = settings::admin_listen(&args.config.source());
    let gateway = admin.map(|admin| format!("http://{}", reachable(admin)));
    let liveness = gateway.as_ref().map(|gateway| format!("{gateway}/healthz"));
    let urls: Vec<String> = if args.url.is_empty() {
        let defaults = liveness.iter().cloned();
        defaults.chain([SANDBOX.to_owned()]).collect()
    } else {
        args.url
    };
    let listening = urls.iter().find(|url| !refuses_connections(url));
    let Some(url) = listening else {
        errln!("offergate: connection refused: {}", urls.join(", "));
        return ExitCode::FAILURE;
    };
    // Whether it is ready is told too, and decides only if that is asked for.
    let readiness = gateway
        .filter(|_| liveness.as_ref() == Some(url))
        .map(|gateway| format!("{gateway}/readyz"));
    block_on(async {
        LocalSet::new()
            .run_until(async {
                if let Err(reason) = ask(url).await {
                    errln!("offergate: not healthy: {url}: {reason}");
                    return ExitCode::FAILURE;
                }
                match readiness {
                    Some(url) => match ask(&url).await {
                        Ok(()) => ExitCode::SUCCESS,
                        Err(reason) => {
                            errln!("offergate: alive, but not ready: {reason}");
                            ExitCode::from(u8::from(args.ready))
                        }
                    },
                    None => ExitCode::SUCCESS,
                }
            })
            .await
    })
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
        TcpStream::connect_timeout(&address, TIMEOUT)
            .is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
    })
}

async fn ask(url: &str) -> Result<(), String> {
    let (status, body) = plain::send(Method::GET, url, Vec::new(), TIMEOUT).await?;
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
