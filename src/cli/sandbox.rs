//! `offergate sandbox`: the emulated vendor alone, for teams' own tests.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::exit::unavailable;
use super::runtime::block_on;
use super::shutdown::Shutdown;
use offergate_sandbox::{Options, Sandbox};

#[derive(Args)]
pub struct SandboxArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "A", default_value = "127.0.0.1:7070")]
    listen: SocketAddr,
    /// How long a cancel takes to bite, in seconds
    #[arg(long, value_name = "N", default_value_t = 3)]
    cancel_seconds: u32,
    /// Listen on other addresses than loopback: anybody who reaches them may order faults
    #[arg(long)]
    allow_remote: bool,
}

pub fn run(args: &SandboxArgs) -> ExitCode {
    if !args.listen.ip().is_loopback() && !args.allow_remote {
        return unavailable("the sandbox listens on loopback only, unless --allow-remote is given");
    }
    let options = Options {
        listen: args.listen,
        cancel_after: Duration::from_secs(args.cancel_seconds.into()),
        ..Options::default()
    };
    block_on(async {
        let mut shutdown = match Shutdown::listen() {
            Ok(shutdown) => shutdown,
            Err(error) => return unavailable(&format!("signals cannot be handled: {error}")),
        };
        match Sandbox::bind(options).await {
            Ok(sandbox) => {
                let address = sandbox.local_addr();
                println!(
                    "The sandbox listens on http://{address}; what it can do: curl http://{address}/_sandbox/v1/"
                );
                sandbox.run(shutdown.requested()).await;
                ExitCode::SUCCESS
            }
            Err(error) => unavailable(&format!("cannot listen on {}: {error}", args.listen)),
        }
    })
}
