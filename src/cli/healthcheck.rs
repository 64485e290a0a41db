//! `offergate healthcheck`: asks a running gateway how it is, so that a container
//! image needs neither a shell nor curl.

use std::process::ExitCode;
use std::time::Duration;

use actix_web::http::Method;
use clap::Args;
use tokio::task::LocalSet;

use super::plain;
use super::runtime::block_on;

/// Containers are asked every few seconds; a gateway that takes longer is not well.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Args)]
pub struct HealthcheckArgs {
    /// What to ask: /healthz of the admin listener, or /readyz; plain HTTP
    #[arg(long, default_value = "http://127.0.0.1:9090/healthz")]
    url: String,
}

pub fn run(args: &HealthcheckArgs) -> ExitCode {
    block_on(async {
        match LocalSet::new().run_until(ask(&args.url)).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                eprintln!("offergate: not well: {reason}");
                ExitCode::FAILURE
            }
        }
    })
}

async fn ask(url: &str) -> Result<(), String> {
    let (status, _body) = plain::send(Method::GET, url, Vec::new(), PATIENCE).await?;
    if status.is_success() {
        Ok(())
    } else {
        Err(format!("it answers {status}"))
    }
}
