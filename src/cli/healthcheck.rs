//! `offergate healthcheck`: asks a running gateway how it is, so that a container
//! image needs neither a shell nor curl.

use std::process::ExitCode;
use std::time::Duration;

use actix_web::http::{Method, Uri};
use clap::Args;
use tokio::task::LocalSet;

use super::block_on;
use crate::transport::{Outgoing, Transport, TransportOptions};

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
    let uri = Uri::try_from(url).map_err(|_| "--url is not a URL".to_owned())?;
    if uri.scheme_str() != Some("http") {
        return Err("--url must begin with http://".into());
    }
    let transport = Transport::new(&TransportOptions {
        ca_file: None,
        connect_timeout: Duration::from_secs(2),
        request_timeout: Duration::from_secs(3),
        tls: false,
    })
    .map_err(|error| error.to_string())?;
    let request = Outgoing {
        method: Method::GET,
        uri,
        headers: Vec::new(),
        body: Default::default(),
        max_answer: 64 * 1024,
    };
    let answer = transport
        .client()
        .send(request)
        .await
        .map_err(|error| error.to_string())?;
    if answer.status().is_success() {
        Ok(())
    } else {
        Err(format!("it answers {}", answer.status()))
    }
}
