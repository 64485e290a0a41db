//! The gateway is killed at random moments of hundreds of cancels. What was acknowledged
//! is in the ledger, nothing was sent twice, and every operation ends with what the
//! sandbox records as true, or with `unknown`.
//!
//! The plan is derived from a seed, which differs for each commit and is printed.
//! `OFFERGATE_KILL_SEED` sets it; the moments within a plan are never quite the same.

mod cancels;
mod file;
mod plan;
mod verdict;

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use offergate_sandbox::Options;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use self::cancels::Cancels;
use self::file::Row;
use self::plan::{Cancel, Moment, Round, rounds};
use self::verdict::{Table, Truth};
use crate::client;
use crate::config::write_config;
use crate::helpers::Setup;
use crate::marks::{SECRET, TOKEN_MARK, assert_clean};
use crate::process::{Ended, Process};
use crate::vendor::Vendor;

const SEED: &str = "OFFERGATE_KILL_SEED";
/// Minimum counts that make the test meaningful.
const KILLS: usize = 20;
const CANCELS: usize = 300;
/// The deadline of an operation, in seconds.
const GIVE_UP: u64 = 15;
/// How much later than that all operations must have ended.
const SLACK: Duration = Duration::from_secs(20);
/// How long a gateway may take to be ready.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most that the sandbox's journal holds.
const JOURNAL: u64 = 100_000;

fn setup() -> Setup {
    Setup {
        vendor: Options {
            client_secret: SECRET.into(),
            token_mark: Some(TOKEN_MARK.into()),
            // Longer than a restart takes, so that the canceled publish can be observed.
            cancel_after: Duration::from_secs(3),
            ..Options::default()
        },
        toml: format!(
            "[operations]\npoll_seconds = 1\nsettle_seconds = 1\ngive_up_seconds = {GIVE_UP}"
        ),
        ..Setup::default()
    }
}

/// A vendor, a ledger, and one gateway after the other.
struct Trial {
    vendor: Vendor,
    directory: TempDir,
    cancels: Cancels,
    kills: usize,
}

/// Requests to cancel one offer, as the vendor's journal has them.
#[derive(Debug, Clone, Copy, Default)]
struct Posts {
    all: usize,
    /// Those answered 429.
    throttled: usize,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cancel_interrupted_by_a_kill_ends_with_its_true_outcome() {
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => seed_of_commit(),
    };
    say(&format!("kill test: {SEED}={seed}\n"));
    let setup = setup();
    let mut trial = Trial {
        vendor: Vendor::start(setup.vendor.clone()).await,
        directory: TempDir::new().unwrap(),
        cancels: Cancels::default(),
        kills: 0,
    };
    write_config(&trial.directory, trial.vendor.address, &setup);
    for round in rounds(seed) {
        trial.live(round).await;
        trial.autopsy().await;
    }
    trial.last_run().await;
    trial.judge(seed).await;
}

/// The beginning of the commit's id, so that a commit either passes or fails, and each one
/// tries other moments. A source tree without a history has one plan.
fn seed_of_commit() -> u64 {
    let mut git = Command::new("git");
    git.args(["rev-parse", "HEAD"]);
    let output = git.current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let id = output.ok().filter(|output| output.status.success());
    let id = id.and_then(|output| String::from_utf8(output.stdout).ok());
    id.and_then(|id| u64::from_str_radix(&id[..12], 16).ok())
        .unwrap_or(1)
}

impl Trial {
    /// One run of the gateway, from its start to the kill.
    async fn live(&mut self, round: Round) {
        let Round {
            moment,
            delay,
            cancels,
        } = round;
        for cancel in &cancels {
            self.prepare(cancel).await;
        }
        let mut process = Process::serve(self.directory.path());
        if moment == Moment::Starting {
            sleep(delay).await;
            return self.bury(process.killed().await);
        }
        let (address, admin) = process.listens().await;
        if moment != Moment::StartUp {
            ready(admin).await;
            self.cancels.poll(address).await;
        }
        let received = self.vendor.received("/cancel").await.len();
        let answers = self.cancels.ask(address, cancels);
        match moment {
            Moment::Burst | Moment::StartUp | Moment::Starting => {
                sleep(delay).await;
                self.bury(process.killed().await);
                self.cancels.hear(answers).await;
            }
            Moment::Draining => {
                self.vendor.receives("/cancel", received + 1).await;
                process.signal("TERM");
                sleep(delay).await;
                self.bury(process.killed().await);
                self.cancels.hear(answers).await;
            }
            Moment::Following => {
                self.cancels.hear(answers).await;
                sleep(delay).await;
                // What is answered now must hold after the kill.
                self.cancels.poll(address).await;
                self.bury(process.killed().await);
            }
        }
    }

    /// Prepares the sandbox for this cancel.
    async fn prepare(&self, cancel: &Cancel) {
        let offer = &cancel.offer;
        if cancel.ends_alone() {
            let publish = json!({"changedSecondsAgo": 600, "endsInSeconds": 4});
            let offer_like = json!({"cancelSeconds": 9, "submissions": [publish]});
            let path = format!("offers/contoso/{offer}");
            self.vendor.control("PUT", &path, offer_like).await;
        }
        if let Some(order) = &cancel.order {
            let mut order = order.clone();
            order["offer"] = json!(offer);
            self.vendor.order(order).await;
        }
    }

    fn bury(&mut self, ended: Ended) {
        // Without a code, it was the signal; draining may have ended by itself.
        self.kills += usize::from(ended.code.is_none());
        assert_clean_run(&ended);
    }

    /// The killed gateway's file must be intact and contain everything that was sent.
    async fn autopsy(&mut self) -> HashMap<String, Row> {
        let rows = file::after_death(self.directory.path()).await;
        for (offer, posts) in self.posts().await {
            let row = rows.get(&offer);
            let row = row.unwrap_or_else(|| panic!("{offer}: sent, not recorded"));
            let most = row.most_posts();
            assert!(posts.all <= most, "{offer}: sent {posts:?}: {row:?}");
            // Operations reported as throttled were answered 429.
            let throttled = row.throttled + usize::from(row.is_throttled());
            assert!(posts.throttled >= throttled, "{offer}: {posts:?}: {row:?}");
        }
        self.cancels.assert_recorded(&rows);
        self.cancels.record_first_polls(&rows);
        rows
    }

    /// The last run, in which every operation ends, then the gateway.
    async fn last_run(&mut self) {
        let mut process = Process::serve(self.directory.path());
        let (address, admin) = process.listens().await;
        ready(admin).await;
        let deadline = Instant::now() + Duration::from_secs(GIVE_UP) + SLACK;
        while self.cancels.unanswered() > 0 {
            let answers = self.cancels.ask(address, Vec::new());
            self.cancels.hear(answers).await;
            assert!(Instant::now() < deadline, "not answered");
        }
        while file::unfinished(self.directory.path()).await > 0 {
            assert!(Instant::now() < deadline, "not finished");
            sleep(Duration::from_millis(200)).await;
        }
        self.cancels.poll(address).await;
        process.signal("TERM");
        let ended = process.ended().await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_clean_run(&ended);
    }

    /// How many cancels of each offer the vendor has received.
    async fn posts(&self) -> HashMap<String, Posts> {
        let query = "journal?method=POST&path=/cancel";
        let journal = self.vendor.control("GET", query, Value::Null).await;
        let mut posts: HashMap<String, Posts> = HashMap::new();
        for entry in journal.as_array().unwrap() {
            assert!(entry["seq"].as_u64().unwrap() < JOURNAL, "dropped some");
            let offer = entry["offer"].as_str().unwrap().to_owned();
            let posts = posts.entry(offer).or_default();
            posts.all += 1;
            posts.throttled += usize::from(entry["answered"] == 429);
        }
        posts
    }

    async fn judge(&mut self, seed: u64) {
        let rows = self.autopsy().await;
        let posts = self.posts().await;
        for (offer, row) in &rows {
            let posts = posts.get(offer).copied().unwrap_or_default();
            let truth = Truth::of(&self.vendor, offer, posts.all).await;
            truth.assert_answer(row);
        }
        let tracked = self.cancels.all();
        let known = |row: &Row| {
            tracked
                .iter()
                .any(|tracked| tracked.cancel.offer == row.offer_id)
        };
        assert!(rows.values().all(known));
        let table = Table::new(tracked, &rows);
        let (kills, cancels) = (self.kills, tracked.len());
        let summary = format!("kill test: seed {seed}, {kills} kills, {cancels} cancels\n");
        say(&(summary + &table.text()));
        table.assert_telling();
        self.cancels.assert_found_out(&rows);
        assert!(kills >= KILLS && cancels >= CANCELS);
    }
}

/// Nothing leaked, and the gateway logged no internal error.
fn assert_clean_run(ended: &Ended) {
    assert_clean("the log", &ended.stdout);
    assert_eq!(ended.stderr, "");
    let error = ended.stdout.lines().find(|line| line.contains("\"ERROR\""));
    assert_eq!(error, None);
}

async fn ready(admin: SocketAddr) {
    let deadline = Instant::now() + TIMEOUT;
    while client::send(admin, "GET", "/readyz", &[], "").await.status != 200 {
        assert!(Instant::now() < deadline, "not ready");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The test runner captures printed output, but not writes to standard error itself.
fn say(text: &str) {
    std::io::stderr().lock().write_all(text.as_bytes()).unwrap();
}
