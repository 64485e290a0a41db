//! What is made of samples before they are reported.

use std::io::Error;
use std::time::Duration;

use crate::generator::Sample;
use crate::process::Server;

impl Sample {
    /// CPU time of a request, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / as_f64(self.count.max(1))
    }

    pub fn per_second(&self) -> f64 {
        as_f64(self.count) / self.took.as_secs_f64()
    }

    pub fn latency_ms(&self, fraction: f64) -> f64 {
        millis(percentile(&self.latencies, fraction))
    }
}

/// What a process has in memory, in MiB.
#[derive(Clone, Copy)]
pub struct Memory {
    pub now: f64,
    pub peak: f64,
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

/// Each round's ratio of two figures: its median, and how far they are apart.
pub struct Ratios(Vec<f64>);

impl Ratios {
    pub fn new(mut each: Vec<f64>) -> Self {
        each.sort_unstable_by(f64::total_cmp);
        Self(each)
    }

    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// `least–most`.
    pub fn range(&self) -> String {
        let at = |end: Option<&f64>| end.copied().unwrap_or(f64::NAN);
        format!("{:.2}–{:.2}", at(self.0.first()), at(self.0.last()))
    }
}

pub fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Of sorted durations; zero of none.
pub fn percentile(sorted: &[Duration], fraction: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let at = (as_f64(last) * fraction).round() as usize;
    sorted.get(at).copied().unwrap_or_default()
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub fn as_f64(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
