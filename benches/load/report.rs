//! The figures as a table, and which aims they meet.

use std::io::{Error, Write};
use std::time::Duration;

use crate::generator::Sample;
use crate::process::Server;

/// A finished durable cancel, in CPU time of the bare forwarder's.
const CANCEL_AIM: f64 = 2.0;
/// An operation shown, in CPU time of the bare forwarder's.
const SHOW_AIM: f64 = 0.8;
/// Durable cancels a second, 256 at a time.
const CROWD_AIM: f64 = 5000.0;
/// What holds only on a disk that is faster than this.
const FAST_DISK: Duration = Duration::from_millis(2);
/// Resident memory of the gateway, in MiB.
const MEMORY_AIM: f64 = 25.0;

/// What a process has in memory, in MiB.
#[derive(Clone, Copy)]
pub struct Memory {
    now: f64,
    peak: f64,
}

impl Memory {
    pub fn of(server: &Server) -> Result<Self, Error> {
        let mib = |key| -> Result<f64, Error> {
            let kib = u32::try_from(server.status_kib(key)?).map_err(Error::other)?;
            Ok(f64::from(kib) / 1024.0)
        };
        Ok(Self {
            now: mib("VmRSS")?,
            peak: mib("VmHWM")?,
        })
    }
}

/// Everything measured one after the other.
pub struct Round {
    pub forwarder: Sample,
    pub cancel: Sample,
    pub show: Sample,
    pub relaxed: Sample,
    pub crowd: Sample,
}

/// Picks one measurement out of a round.
type SampleOf = fn(&Round) -> &Sample;

pub struct Report {
    rounds: Vec<Round>,
    syncs: Vec<Duration>,
    at_rest: [Memory; 2],
    loaded: [Memory; 2],
}

impl Sample {
    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / as_f64(self.count.max(1))
    }

    fn per_second(&self) -> f64 {
        as_f64(self.count) / self.took.as_secs_f64()
    }

    fn latency_ms(&self, fraction: f64) -> f64 {
        millis(percentile(&self.latencies, fraction))
    }
}

impl Report {
    /// Memory of forwarder and gateway before any load.
    pub fn new(forwarder: Memory, gateway: Memory) -> Self {
        Self {
            rounds: Vec::new(),
            syncs: Vec::new(),
            at_rest: [forwarder, gateway],
            loaded: [forwarder, gateway],
        }
    }

    pub fn round(&mut self, round: Round) {
        self.rounds.push(round);
    }

    pub fn fdatasync(&mut self, took: Vec<Duration>) {
        self.syncs.extend(took);
        self.syncs.sort_unstable();
    }

    /// Memory after all of it.
    pub fn after(&mut self, forwarder: Memory, gateway: Memory) {
        self.loaded = [forwarder, gateway];
    }

    pub fn print(&self) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        self.table(&mut out)?;
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
        let rows: [(&str, usize, SampleOf); 5] = [
            ("bare forwarder, POST", 64, |round| &round.forwarder),
            ("gateway, cancel, full", 64, |round| &round.cancel),
            ("gateway, cancel, relaxed", 64, |round| &round.relaxed),
            ("gateway, GET /operations/{id}", 64, |round| &round.show),
            ("gateway, cancel, full", 256, |round| &round.crowd),
        ];
        for (name, connections, of) in rows {
            let figure = |figure: &dyn Fn(&Sample) -> f64| self.median(|round| figure(of(round)));
            writeln!(
                out,
                "{name:<32}{connections:>6}{:>9.0}{:>9.1}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
                figure(&Sample::per_second),
                figure(&Sample::cpu_us),
                median(self.ratios(of)),
                figure(&|sample| sample.latency_ms(0.5)),
                figure(&|sample| sample.latency_ms(0.9)),
                figure(&|sample| sample.latency_ms(0.99)),
                figure(&|sample| sample.latency_ms(1.0)),
            )?;
        }
        writeln!(
            out,
            "\nresident MiB{:>28}{:>12}{:>9}",
            "at rest", "loaded", "peak"
        )?;
        for (name, i) in [("bare forwarder", 0), ("gateway, full", 1)] {
            let (rest, loaded) = (self.at_rest[i], self.loaded[i]);
            let (now, peak) = (loaded.now, loaded.peak);
            writeln!(out, "{name:<32}{:>8.1}{now:>12.1}{peak:>9.1}", rest.now)?;
        }
        writeln!(
            out,
            "\nappend 4 KiB and fdatasync: median {:.2} ms, p99 {:.2} ms of {}",
            millis(percentile(&self.syncs, 0.5)),
            millis(percentile(&self.syncs, 0.99)),
            self.syncs.len()
        )
    }

    fn aims(&self, out: &mut impl Write) -> Result<(), Error> {
        let cancel = self.ratios(|round| &round.cancel);
        let show = self.ratios(|round| &round.show);
        let crowd = self.median(|round| round.crowd.per_second());
        let memory = self.loaded[1].now.max(self.at_rest[1].now);
        let sync = percentile(&self.syncs, 0.5);
        writeln!(out, "\naims")?;
        for (aim, name, by_round) in [
            (CANCEL_AIM, "durable cancel", cancel),
            (SHOW_AIM, "GET /operations/{id}", show),
        ] {
            let each: Vec<String> = by_round.iter().map(|r| format!("{r:.2}")).collect();
            let each = each.join(", ");
            let ratio = median(by_round);
            let met = verdict(ratio <= aim);
            writeln!(
                out,
                "{met:<9}{name}: at most {aim:.1} times the forwarder's CPU: {ratio:.2} ({each})"
            )?;
        }
        let met = match sync < FAST_DISK {
            true => verdict(crowd >= CROWD_AIM),
            false => "no claim",
        };
        writeln!(
            out,
            "{met:<9}at least {CROWD_AIM:.0} durable cancels a second at 256 connections, where \
             fdatasync takes under {FAST_DISK:?}: {crowd:.0}",
        )?;
        let met = verdict(memory <= MEMORY_AIM);
        writeln!(
            out,
            "{met:<9}at most {MEMORY_AIM:.0} MiB resident: {memory:.1}"
        )
    }

    /// The CPU time of a request in that of the forwarder's of the same round.
    fn ratios(&self, of: impl Fn(&Round) -> &Sample) -> Vec<f64> {
        let ratio = |round: &Round| of(round).cpu_us() / round.forwarder.cpu_us();
        self.rounds.iter().map(ratio).collect()
    }

    fn median(&self, figure: impl Fn(&Round) -> f64) -> f64 {
        median(self.rounds.iter().map(figure).collect())
    }
}

fn verdict(met: bool) -> &'static str {
    if met { "met" } else { "NOT MET" }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Of sorted durations; zero of none.
fn percentile(sorted: &[Duration], fraction: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = (as_f64(last) * fraction).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
