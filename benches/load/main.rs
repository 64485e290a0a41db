//! What the gateway costs beside a bare forwarder made of the same crates.
//!
//! `cargo bench --bench load` runs, each as a process of its own and each with one
//! worker, a stand-in for the vendor, a bare actix-web + awc forwarder and the real
//! gateway (with a durable ledger, with a relaxed one, and with a durable one and very
//! many callers), loads them in turns on loopback, and reports CPU time, latency and
//! memory against the aims; what becomes of requests while a token is renewed, and while
//! there is none yet; and what it costs to follow operations, and to wait for them. Each round takes the servers in turns, there and back, so
//! that a machine that drifts spoils no ratio. `-- --quick` measures shorter,
//! `-- --unfinished` only what is followed and waited for; under `cargo test` it only
//! proves that it works.

mod configuration;
mod figures;
mod follow;
mod forwarder;
mod generator;
mod process;
mod renewal;
mod report;
mod standin;
#[path = "../common/token.rs"]
mod token;
mod unfinished;
mod waiting;
mod workplace;

use std::io::Error;
use std::process::ExitCode;
use std::time::Duration;

use configuration::{Configuration, KEY};
use figures::Memory;
use follow::{Following, MINUTE};
use generator::{Ask, Credential, Credentials, ENDED, Generator, Load};
use process::{ROLE, Server};
use renewal::Renewals;
use report::{Keyed, Reading, Report, Round, Weighed};
use standin::{StandIn, Tokens};
use token::Signer;
use unfinished::Unfinished;
use waiting::Waiting;
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
    /// Callers where there are many, with five rules each.
    crowd: usize,
    /// How often that configuration is read again.
    reloads: usize,
    /// How often a token is renewed under load: that takes 11 s each time.
    renewals: u32,
    /// How many requests wait for the first token.
    rush: usize,
    following: Following,
    waiting: Waiting,
    only_unfinished: bool,
}

impl Plan {
    fn of(arguments: &[String]) -> Self {
        let has = |flag| arguments.iter().any(|argument| argument == flag);
        let (rounds, warm_up, measured) = match (has("--bench"), has("--quick")) {
            (false, _) => (1, 50, 200),
            (true, true) => (3, 150, 500),
            (true, false) => (15, 150, 1000),
        };
        Self {
            telling: has("--bench"),
            rounds,
            warm_up: Duration::from_millis(warm_up),
            measured: Duration::from_millis(measured),
            crowd: if has("--bench") { 10_000 } else { 100 },
            reloads: if has("--bench") { 10 } else { 2 },
            renewals: match (has("--bench"), has("--quick")) {
                (false, _) => 0,
                (true, true) => 1,
                (true, false) => 3,
            },
            rush: if has("--bench") { 10_000 } else { 100 },
            following: match (has("--bench"), has("--quick")) {
                (false, _) => following(100, SECOND, SECOND / 10),
                (true, true) => following(10_000, MINUTE / 4, SECOND * 3),
                (true, false) => following(10_000, MINUTE, SECOND * 10),
            },
            waiting: match has("--bench") {
                true => waiting(200, 10_000),
                false => waiting(10, 100),
            },
            only_unfinished: has("--unfinished"),
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn following(operations: usize, poll: Duration, idle: Duration) -> Following {
    Following {
        operations,
        poll,
        idle,
    }
}

fn waiting(measured: usize, others: usize) -> Waiting {
    Waiting { measured, others }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match std::env::var(ROLE).as_deref() {
        Ok("standin") => standin::run(&arguments),
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

/// How long a token lives that is not renewed here, in seconds.
const HOUR: u32 = 3599;

fn measure(plan: Plan) -> Result<(), Error> {
    let place = Workplace::new()?;
    let signer = Signer::new()?;
    let credentials = Credentials {
        key: KEY,
        token: signer.token(token::ID)?,
    };
    let generator = Generator::new(credentials, plan.warm_up, plan.measured)?;
    let unfinished = Unfinished::measure(&place, &generator, &signer, plan)?;
    if plan.only_unfinished {
        return unfinished.print_alone();
    }
    let standin = |live, held| StandIn::start(&signer.key_set(), Tokens { live, held });
    let usual = standin(HOUR, false)?;
    let vendor = usual.address();
    let forwarder = Server::of_this_program("forwarder", &[vendor.to_string()])?;
    let gateway_at = |vendor, name, durability, callers| {
        place.gateway(&Configuration::new(name, durability, callers), vendor)
    };
    let gateway = |name, durability, callers| gateway_at(vendor, name, durability, callers);
    // Few and many callers get the very same load, so that their ledgers grow alike;
    // what else is asked of a durable gateway is asked of another.
    let few = gateway("few", "full", 2)?;
    let crowded = gateway("many", "full", plan.crowd)?;
    let durable = gateway("busy", "full", 2)?;
    let relaxed = gateway("relaxed", "relaxed", 2)?;
    let load = |server, connections, ask, credential| Load {
        server,
        connections,
        ask,
        credential,
    };
    let (ours, many) = (&durable.server, &crowded.server);
    let loads = [
        load(&forwarder, 64, Ask::Cancel, Credential::Key),
        load(&few.server, 64, Ask::Cancel, Credential::Key),
        load(&few.server, 64, Ask::Cancel, Credential::Token),
        load(many, 64, Ask::Cancel, Credential::Token),
        load(many, 64, Ask::Cancel, Credential::Key),
        load(ours, 256, Ask::CancelToShow, Credential::Key),
        load(ours, 64, Ask::Show, Credential::Key),
        load(&relaxed.server, 64, Ask::Cancel, Credential::Key),
    ];
    let rush = {
        let vendor = standin(HOUR, true)?;
        let gateway = gateway_at(vendor.address(), "rush", "full", 2)?;
        generator.rush(&gateway.server, &vendor, plan.rush)?
    };
    let renewals = {
        let vendor = standin(renewal::LIVE, false)?;
        let gateway = gateway_at(vendor.address(), "renewing", "relaxed", 2)?;
        let load = Load {
            server: &gateway.server,
            connections: 64,
            ask: Ask::Cancel,
            credential: Credential::Key,
        };
        Renewals::measure(&generator, load, &vendor, plan.renewals)?
    };
    // Of the two whose ratio is asked for, neither has more in its ledger than the other.
    let keyed = gateway("keyed", "full", 2)?;
    let keyed_loads = [
        load(&keyed.server, 64, Ask::Cancel, Credential::Key),
        load(&keyed.server, 64, Ask::CancelWithKey, Credential::Key),
        load(&keyed.server, 64, Ask::Follow, Credential::Key),
        load(&keyed.server, 64, Ask::FollowWithKey, Credential::Key),
    ];
    generator.end(&usual, ENDED)?;
    // The first cancel waits for the gateway's token, the first JWT for its issuer's
    // keys: what follows is at rest.
    let warm = || loads.into_iter().try_for_each(|load| generator.once(load));
    warm()?;
    let at_rest = |name, server: &Server| -> Result<Weighed, Error> {
        let memory = Memory::of(server)?;
        Ok(Weighed {
            name,
            at_rest: memory,
            reloaded: None,
            loaded: memory,
        })
    };
    let mut report = Report {
        rounds: Vec::new(),
        rush,
        renewals,
        unfinished,
        syncs: Vec::new(),
        forwarder: at_rest("bare forwarder", &forwarder)?,
        gateway: at_rest("gateway, full", ours)?,
        crowded: at_rest("gateway, many callers", many)?,
        reading: Reading {
            callers: plan.crowd,
            started_in: crowded.started_in,
            small_started_in: durable.started_in,
            reloads: (0..plan.reloads)
                .map(|_| crowded.reload())
                .collect::<Result<_, _>>()?,
        },
    };
    report.crowded.reloaded = Some(Memory::of(many)?);
    // A reload forgets tokens.
    warm()?;
    for round in 1..=plan.rounds {
        eprintln!("load: round {round} of {}", plan.rounds);
        report.syncs.extend(place.fdatasync()?);
        let samples = generator.there_and_back(loads)?;
        let [
            forwarder,
            key,
            token,
            crowded_token,
            crowded_key,
            busy,
            show,
            relaxed,
        ] = samples;
        let [finished, finished_keyed, followed, followed_keyed] =
            generator.there_and_back(keyed_loads)?;
        report.rounds.push(Round {
            keyed: Keyed {
                finished: [finished, finished_keyed],
                followed: [followed, followed_keyed],
            },
            forwarder,
            key,
            token,
            crowded_key,
            crowded_token,
            show,
            relaxed,
            busy,
        });
    }
    report.syncs.sort_unstable();
    report.forwarder.loaded = Memory::of(&forwarder)?;
    report.gateway.loaded = Memory::of(ours)?;
    report.crowded.loaded = Memory::of(many)?;
    if plan.telling {
        report.print()
    } else if report.rush.tokens != 1 {
        Err(Error::other("a rush asks for more than one token"))
    } else {
        println!("load: it works; `cargo bench --bench load` measures");
        Ok(())
    }
}
