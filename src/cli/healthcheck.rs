//! `offergate healthcheck`: asks the gateway or the sandbox in a container for its health, so
//! that an image needs neither a shell nor curl.

use std::io::ErrorKind;
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use actix_web::http::{Method, Uri};
use clap::Args;
use tokio::task::LocalSet;

use super::plain;
use super::runtime::block_on;

/// Orchestrators ask every few seconds; a process that takes longer than this is not healthy.
const TIMEOUT: Duration = Duration::from_secs(3);
const GATEWAY: &str = "http://127.0.0.1:9090/healthz";
const SANDBOX: &str = "http://127.0.0.1:7070/_sandbox/v1/health";

#[derive(Args)]
pub struct HealthcheckArgs {
    /// URL to ask, plain HTTP; given several times, the first that accepts connections. The
    /// defaults are those of `offergate serve` and `offergate sandbox`
    #[arg(long, default_values = [GATEWAY, SANDBOX])]
    url: Vec<String>,
}

pub fn run(args: &HealthcheckArgs) -> ExitCode {
    let listening = args.url.iter().find(|url| !refuses_connections(url));
    let Some(url) = listening else {
        eprintln!("offergate: connection refused: {}", args.url.join(", "));
        return ExitCode::FAILURE;
    };
    block_on(async {
        match LocalSet::new().run_until(ask(url)).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                eprintln!("offergate: not healthy: {url}: {reason}");
                ExitCode::FAILURE
            }
        }
    })
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
    let (status, _body) = plain::send(Method::GET, url, Vec::new(), TIMEOUT).await?;
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("the response is {status}"))
    }
}
