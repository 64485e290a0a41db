//! What the gateway costs beside a bare forwarder made of the same crates.
//!
//! `cargo bench --bench load` runs, each as a process of its own and each with one
//! worker, a stand-in for the vendor, a bare actix-web + awc forwarder and the real
//! gateway (once with a durable and once with a relaxed ledger), loads them in turns
//! on loopback, and reports CPU time, latency and memory against the aims. Rounds
//! alternate between the servers, so that a machine that drifts spoils no ratio.
//! `-- --quick` measures shorter; under `cargo test` it only proves that it works.

mod forwarder;
mod generator;
mod process;
mod report;
mod standin;
mod workplace;

use std::io::Error;
use std::process::ExitCode;
use std::time::Duration;

use generator::{Ask, Generator, Sample};
use process::{ROLE, Server};
use report::{Memory, Report, Round};
use workplace::Workplace;

/// The gateway uses it; so does everything that it is compared with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long everything is measured, and how often.
#[derive(Clone, Copy)]
struct Plan {
    /// Whether the figures mean anything: not in a test, which is not optimized.
    telling: bool,
    rounds: usize,
    warm_up: Duration,
    measured: Duration,
}

impl Plan {
    fn of(arguments: &[String]) -> Self {
        let has = |flag| arguments.iter().any(|argument| argument == flag);
        let (rounds, warm_up, measured) = match (has("--bench"), has("--quick")) {
            (false, _) => (1, 50, 200),
            (true, true) => (3, 200, 500),
            (true, false) => (9, 300, 1300),
        };
        Self {
            telling: has("--bench"),
            rounds,
            warm_up: Duration::from_millis(warm_up),
            measured: Duration::from_millis(measured),
        }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match std::env::var(ROLE).as_deref() {
        Ok("standin") => standin::run(),
        Ok("forwarder") => forwarder::run(&arguments),
        _ => measure(Plan::of(&arguments)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(plan: Plan) -> Result<(), Error> {
    let place = Workplace::new()?;
    let standin = Server::of_this_program("standin", &[])?;
    let vendor = standin.address();
    let forwarder = Server::of_this_program("forwarder", &[vendor.to_string()])?;
    let durable = place.gateway("full", vendor)?;
    let relaxed = place.gateway("relaxed", vendor)?;
    let generator = Generator::new(plan.warm_up, plan.measured)?;

    // The first cancel waits for the gateway's token: what follows is at rest.
    generator.once(&durable, Ask::Cancel)?;
    generator.once(&relaxed, Ask::RelaxedCancel)?;
    generator.once(&forwarder, Ask::Forward)?;
    let mut report = Report::new(Memory::of(&forwarder)?, Memory::of(&durable)?);
    for round in 1..=plan.rounds {
        eprintln!("load: round {round} of {}", plan.rounds);
        report.fdatasync(place.fdatasync()?);
        let run = |server, connections, ask| -> Result<Sample, Error> {
            generator.run(server, connections, ask)
        };
        report.round(Round {
            forwarder: run(&forwarder, 64, Ask::Forward)?,
            cancel: run(&durable, 64, Ask::Cancel)?,
            show: run(&durable, 64, Ask::Show)?,
            relaxed: run(&relaxed, 64, Ask::RelaxedCancel)?,
            crowd: run(&durable, 256, Ask::Cancel)?,
        });
    }
    report.after(Memory::of(&forwarder)?, Memory::of(&durable)?);
    if plan.telling {
        report.print()
    } else {
        println!("load: it works; `cargo bench --bench load` measures");
        Ok(())
    }
}
