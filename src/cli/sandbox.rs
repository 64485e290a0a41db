//! `offergate sandbox`: the emulated vendor alone, for tests of clients of the gateway or the vendor.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use offergate_sandbox::tls::{self, SelfSigned};
use offergate_sandbox::{Options, Sandbox};

use super::exit::{EXIT_CONFIG, unavailable, usage};
use super::runtime::block_on;
use super::shutdown::Shutdown;
use crate::startup::Progress;

/// The file that `--self-signed` writes.
const CA_FILE: &str = "ca.pem";

#[derive(Args)]
pub struct SandboxArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "A", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// How long a cancel takes to take effect, in seconds
    #[arg(long, value_name = "N", default_value_t = 3)]
    cancel_seconds: u32,
    /// Listen on addresses other than loopback: anyone who reaches them can control the sandbox
    #[arg(long)]
    allow_remote: bool,
    /// Speak TLS with this certificate chain (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Speak TLS with a certificate for localhost, 127.0.0.1 and ::1 from a new CA, and write
    /// that CA to DIR/ca.pem for clients to trust
    #[arg(long, value_name = "DIR", conflicts_with = "tls_cert")]
    self_signed: Option<PathBuf>,
}

pub fn run(args: &SandboxArgs) -> ExitCode {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        return usage(
            "--listen is not a loopback address; add --allow-remote to let other machines control the sandbox",
        );
    }
    let mut options = Options {
        listen: args.listen,
        cancel_after: Duration::from_secs(args.cancel_seconds.into()),
        ..Options::default()
    };
    let ca = match configure_tls(args, &mut options) {
        Ok(ca) => ca,
        Err(reason) => {
            errln!("offergate: {reason}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    block_on(async {
        let shutdown = match Shutdown::listen(Progress::default()) {
            Ok(shutdown) => shutdown,
            Err(error) => return unavailable(&format!("signals cannot be handled: {error}")),
        };
        let sandbox = match Sandbox::bind(options).await {
            Ok(sandbox) => sandbox,
            Err(error) => {
                return unavailable(&format!("cannot listen on {}: {error}", args.listen));
            }
        };
        // Written after binding, so that a second sandbox does not overwrite the file of a
        // running one.
        if let Some((path, pem)) = &ca
            && let Err(error) = fs::write(path, pem)
        {
            return unavailable(&format!("cannot write {}: {error}", path.display()));
        }
        let url = sandbox.base_url();
        outln!("The sandbox listens on {url}; its control routes: curl {url}/_sandbox/v1/");
        if let Some((path, _)) = &ca {
            let path = path.display();
            outln!(
                "Trust its CA in {path}: portal.ca_file of the gateway (portal and token endpoint), curl --cacert {path}, SSL_CERT_FILE={path} elsewhere."
            );
        }
        sandbox.run(shutdown.requested()).await;
        ExitCode::SUCCESS
    })
}

/// Sets up TLS if the options request it; with `--self-signed`, returns the CA and where to write it.
fn configure_tls(
    args: &SandboxArgs,
    options: &mut Options,
) -> Result<Option<(PathBuf, String)>, String> {
    if let (Some(cert), Some(key)) = (&args.tls_cert, &args.tls_key) {
        let read = |path: &PathBuf| {
            fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        let config = tls::server_config(&read(cert)?, &read(key)?);
        options.tls = Some(config.map_err(|error| format!("--tls-cert, --tls-key: {error}"))?);
    }
    let Some(directory) = &args.self_signed else {
        return Ok(None);
    };
    let created = fs::create_dir_all(directory);
    created.map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
    let generated = SelfSigned::generate().map_err(|error| error.to_string())?;
    options.tls = Some(generated.config);
    Ok(Some((directory.join(CA_FILE), generated.ca_pem)))
}
