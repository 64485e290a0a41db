//! The figures as a table, and which aims they meet.

use std::io::{Error, Write};
use std::time::Duration;

use crate::figures::{Memory, Ratios, median, millis, percentile};
use crate::generator::{Rush, Sample};
use crate::renewal::Renewals;
use crate::standin::HELD;
use crate::unfinished::Unfinished;

/// A finished durable cancel, in CPU time of the bare forwarder's.
const CANCEL_AIM: f64 = 2.0;
/// An operation shown, in CPU time of the bare forwarder's.
const SHOW_AIM: f64 = 0.8;
/// A cancel with a token that is remembered, in CPU time of one with an API key.
const TOKEN_AIM: f64 = 1.1;
/// A cancel where there are many callers, in CPU time of one where there are two.
const CROWDED_AIM: f64 = 1.05;
/// A cancel with an idempotency key, in CPU time of one without.
const KEYED_AIM: f64 = 1.1;
/// Durable cancels a second, 256 at a time.
const BUSY_AIM: f64 = 5000.0;
/// What holds only on a disk that is faster than this.
const FAST_DISK: Duration = Duration::from_millis(2);
/// Resident memory of the gateway, in MiB.
const MEMORY_AIM: f64 = 25.0;

/// Everything measured in turns.
pub struct Round {
    pub forwarder: Sample,
    pub key: Sample,
    pub token: Sample,
    pub crowded_key: Sample,
    pub crowded_token: Sample,
    pub show: Sample,
    pub relaxed: Sample,
    pub busy: Sample,
    /// A cancel at a gateway of its own, and one with an idempotency key.
    pub keyed: Keyed,
}

/// Cancels without an idempotency key, and with one each.
pub struct Keyed {
    /// Over when they are answered.
    pub finished: [Sample; 2],
    /// Over at their first look.
    pub followed: [Sample; 2],
}

/// Picks one measurement out of a round.
type SampleOf = fn(&Round) -> &Sample;

/// An aim for the CPU time of one request in that of another.
struct Aim {
    name: &'static str,
    at_most: f64,
    of: SampleOf,
    against: SampleOf,
}

const AIMS: [Aim; 5] = [
    Aim {
        name: "durable cancel / forwarder",
        at_most: CANCEL_AIM,
        of: |round| &round.key,
        against: |round| &round.forwarder,
    },
    Aim {
        name: "GET /operations/{id} / forwarder",
        at_most: SHOW_AIM,
        of: |round| &round.show,
        against: |round| &round.forwarder,
    },
    Aim {
        name: "JWT / key",
        at_most: TOKEN_AIM,
        of: |round| &round.token,
        against: |round| &round.key,
    },
    Aim {
        name: "key among many / key",
        at_most: CROWDED_AIM,
        of: |round| &round.crowded_key,
        against: |round| &round.key,
    },
    Aim {
        name: "JWT among many / JWT",
        at_most: CROWDED_AIM,
        of: |round| &round.crowded_token,
        against: |round| &round.token,
    },
];

/// What a server has in memory: at rest, and after all of it.
pub struct Weighed {
    pub name: &'static str,
    pub at_rest: Memory,
    /// After as many reloads as there were, still at rest.
    pub reloaded: Option<Memory>,
    pub loaded: Memory,
}

/// How long the gateway with many callers took to read its configuration.
pub struct Reading {
    pub callers: usize,
    pub started_in: Duration,
    pub small_started_in: Duration,
    pub reloads: Vec<Duration>,
}

/// What was measured.
pub struct Report {
    pub rounds: Vec<Round>,
    pub rush: Rush,
    pub renewals: Renewals,
    pub unfinished: Unfinished,
    /// How long the disk takes, shortest first.
    pub syncs: Vec<Duration>,
    pub reading: Reading,
    pub forwarder: Weighed,
    pub gateway: Weighed,
    pub crowded: Weighed,
}

impl Report {
    pub fn print(&self) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        self.table(&mut out)?;
        self.memory(&mut out)?;
        self.times(&mut out)?;
        self.tokens(&mut out)?;
        self.unfinished.print(&mut out)?;
        self.aims(&mut out)
    }

    fn table(&self, out: &mut impl Write) -> Result<(), Error> {
        let rounds = self.rounds.len();
        writeln!(out, "\nmedians of {rounds} round(s), one worker each")?;
        writeln!(
            out,
            "{:<32}{:>6}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}",
            "", "conns", "req/s", "CPU µs", "x bare", "p50 ms", "p90 ms", "p99 ms", "max ms"
        )?;
        let rows: [(&str, usize, SampleOf); 8] = [
            ("bare forwarder, POST", 64, |round| &round.forwarder),
            ("gateway, cancel, full", 64, |round| &round.key),
            ("  with a JWT", 64, |round| &round.token),
            ("  among many callers", 64, |round| &round.crowded_key),
            ("  among many, with a JWT", 64, |round| &round.crowded_token),
            ("gateway, cancel, relaxed", 64, |round| &round.relaxed),
            ("gateway, GET /operations/{id}", 64, |round| &round.show),
            ("gateway, cancel, full", 256, |round| &round.busy),
        ];
        for (name, connections, of) in rows {
            let figure = |figure: &dyn Fn(&Sample) -> f64| self.median(|round| figure(of(round)));
            writeln!(
                out,
                "{name:<32}{connections:>6}{:>9.0}{:>9.1}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
                figure(&Sample::per_second),
                figure(&Sample::cpu_us),
                self.ratios(of, |round| &round.forwarder).median(),
                figure(&|sample| sample.latency_ms(0.5)),
                figure(&|sample| sample.latency_ms(0.9)),
                figure(&|sample| sample.latency_ms(0.99)),
                figure(&|sample| sample.latency_ms(1.0)),
            )?;
        }
        Ok(())
    }

    fn memory(&self, out: &mut impl Write) -> Result<(), Error> {
        writeln!(
            out,
            "\n{:<32}{:>9}{:>10}{:>9}{:>9}",
            "resident MiB", "at rest", "reloaded", "loaded", "peak"
        )?;
        for weighed in [&self.forwarder, &self.gateway, &self.crowded] {
            let reloaded = weighed.reloaded.map(|memory| format!("{:.1}", memory.now));
            let Memory { now, peak } = weighed.loaded;
            writeln!(
                out,
                "{:<32}{:>9.1}{:>10}{now:>9.1}{peak:>9.1}",
                weighed.name,
                weighed.at_rest.now,
                reloaded.unwrap_or_default(),
            )?;
        }
        Ok(())
    }

    fn times(&self, out: &mut impl Write) -> Result<(), Error> {
        let reading = &self.reading;
        let reloads = reading.reloads.iter().copied().map(millis).collect();
        writeln!(
            out,
            "\n{} callers: listening after {:.0} ms (two callers: {:.0} ms), reloaded {} times \
             in {:.0} ms each",
            reading.callers,
            millis(reading.started_in),
            millis(reading.small_started_in),
            reading.reloads.len(),
            median(reloads),
        )?;
        writeln!(
            out,
            "append 4 KiB and fdatasync: median {:.2} ms, p99 {:.2} ms of {}",
            millis(percentile(&self.syncs, 0.5)),
            millis(percentile(&self.syncs, 0.99)),
            self.syncs.len()
        )
    }

    fn tokens(&self, out: &mut impl Write) -> Result<(), Error> {
        self.renewals.print(out)?;
        let rush = &self.rush;
        writeln!(
            out,
            "\nat start-up, {} requests, {} at a time, the first token {HELD:?} after them: \
             all answered in {:.2} s, with {} token request(s); {} time(s) put off",
            rush.requests,
            rush.connections,
            rush.took.as_secs_f64(),
            rush.tokens,
            rush.put_off,
        )
    }

    fn aims(&self, out: &mut impl Write) -> Result<(), Error> {
        writeln!(out, "\naims")?;
        for aim in &AIMS {
            let ratios = self.ratios(aim.of, aim.against);
            let (ratio, range) = (ratios.median(), ratios.range());
            let met = verdict(ratio <= aim.at_most);
            let Aim { name, at_most, .. } = aim;
            writeln!(
                out,
                "{met:<9}CPU of {name}: at most {at_most:.2}: {ratio:.2} ({range})"
            )?;
        }
        self.keyed(out, "finished", |keyed| &keyed.finished)?;
        self.keyed(out, "followed", |keyed| &keyed.followed)?;
        let busy = self.median(|round| round.busy.per_second());
        let met = match percentile(&self.syncs, 0.5) < FAST_DISK {
            true => verdict(busy >= BUSY_AIM),
            false => "no claim",
        };
        writeln!(
            out,
            "{met:<9}at least {BUSY_AIM:.0} durable cancels a second at 256 connections, where \
             fdatasync takes under {FAST_DISK:?}: {busy:.0}",
        )?;
        let met = verdict(self.rush.tokens == 1);
        writeln!(
            out,
            "{met:<9}one token request for all that wait at start-up: {}",
            self.rush.tokens
        )?;
        let memory = self.gateway.loaded.now.max(self.gateway.at_rest.now);
        let met = verdict(memory <= MEMORY_AIM);
        writeln!(
            out,
            "{met:<9}at most {MEMORY_AIM:.0} MiB resident: {memory:.1}"
        )?;
        self.unfinished.aims(out)
    }

    /// The CPU time of a request in that of another of the same round.
    fn ratios(&self, of: SampleOf, against: SampleOf) -> Ratios {
        let ratio = |round: &Round| of(round).cpu_us() / against(round).cpu_us();
        Ratios::new(self.rounds.iter().map(ratio).collect())
    }

    fn keyed(
        &self,
        out: &mut impl Write,
        name: &str,
        of: fn(&Keyed) -> &[Sample; 2],
    ) -> Result<(), Error> {
        let ratio = |round: &Round| {
            let [without, with] = of(&round.keyed);
            with.cpu_us() / without.cpu_us()
        };
        let ratios = Ratios::new(self.rounds.iter().map(ratio).collect());
        let (ratio, range) = (ratios.median(), ratios.range());
        writeln!(
            out,
            "{:<9}CPU of a {name} cancel with a key / without: at most {KEYED_AIM:.2}: {ratio:.2} ({range})",
            verdict(ratio <= KEYED_AIM)
        )
    }

    fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect())
    }
}

pub fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "NOT MET" }
}
