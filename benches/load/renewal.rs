//! A token renewed under full load: is there a step in what requests take?

use std::io::{Error, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::figures::{millis, percentile};
use crate::generator::{Answered, Generator, Load};
use crate::standin::StandIn;

/// How long tokens live here, in seconds: they are renewed after a quarter of that, and
/// used until 30 s before the end.
pub const LIVE: u32 = 44;
/// From one renewal to the next.
const EVERY: Duration = Duration::from_secs(11);
/// What counts as during a renewal: so much to both sides of the request for a token.
const NEAR: Duration = Duration::from_millis(250);
/// How long before that, and after, is looked at.
const BESIDE: Duration = Duration::from_secs(1);

/// What requests took, by when they began.
pub struct Renewals {
    /// How many there were.
    pub count: usize,
    before: Vec<Duration>,
    during: Vec<Duration>,
    after: Vec<Duration>,
    /// The p99 of each renewal, in order of time.
    each: Vec<Duration>,
    /// The p99 of as long stretches far from any, least first.
    far: Vec<Duration>,
}

impl Renewals {
    /// Loads a gateway whose tokens come from this stand-in, until at least that many
    /// renewals lie well within.
    pub fn measure(
        generator: &Generator,
        load: Load<'_>,
        vendor: &StandIn,
        renewals: u32,
    ) -> Result<Self, Error> {
        let begun = (Instant::now(), SystemTime::now());
        let long = EVERY * renewals + (NEAR + BESIDE) * 2 + NEAR;
        let (_, answered) = generator.run(load, long)?;
        let begun_at = begun.1.duration_since(UNIX_EPOCH).map_err(Error::other)?;
        let asked = generator.asked(vendor)?.into_iter();
        let asked = asked.filter_map(|at| Some(begun.0 + at.checked_sub(begun_at)?));
        Ok(Self::new(&answered, asked.collect()))
    }

    fn new(answered: &[Answered], renewals: Vec<Instant>) -> Self {
        let between = |from: Instant, until: Instant| {
            let within = |one: &&Answered| (from..until).contains(&one.begun);
            sorted(answered.iter().filter(within).map(|one| one.took))
        };
        let p99 = |took: &Vec<Duration>| percentile(took, 0.99);
        let begins = || answered.iter().map(|one| one.begun);
        let (Some(first), Some(last)) = (begins().min(), begins().max()) else {
            return Self::none();
        };
        let margin = NEAR + BESIDE;
        let renewals: Vec<Instant> = renewals
            .into_iter()
            .filter(|at| *at >= first + margin && *at + margin <= last)
            .collect();
        let mut far = Vec::new();
        let mut from = first;
        while from + NEAR * 2 <= last {
            let until = from + NEAR * 2;
            if renewals
                .iter()
                .all(|at| *at > until + NEAR || *at + NEAR < from)
            {
                far.push(between(from, until));
            }
            from = until;
        }
        let all = |part: &dyn Fn(Instant) -> Vec<Duration>| {
            sorted(renewals.iter().flat_map(|at| part(*at)))
        };
        let during = |at| between(at - NEAR, at + NEAR);
        Self {
            count: renewals.len(),
            before: all(&|at| between(at - margin, at - NEAR)),
            during: all(&during),
            after: all(&|at| between(at + NEAR, at + margin)),
            each: renewals.iter().map(|at| p99(&during(*at))).collect(),
            far: sorted(far.iter().map(p99)),
        }
    }

    fn none() -> Self {
        Self {
            count: 0,
            before: Vec::new(),
            during: Vec::new(),
            after: Vec::new(),
            each: Vec::new(),
            far: Vec::new(),
        }
    }

    pub fn print(&self, out: &mut impl Write) -> Result<(), Error> {
        let columns = ("requests", "p50 ms", "p99 ms", "max ms");
        writeln!(
            out,
            "\n{:<32}{:>9}{:>9}{:>9}{:>9}",
            format!("{} renewal(s) under load", self.count),
            columns.0,
            columns.1,
            columns.2,
            columns.3
        )?;
        for (name, took) in [
            ("the second before", &self.before),
            ("the half second of it", &self.during),
            ("the second after", &self.after),
        ] {
            let at = |fraction| millis(percentile(took, fraction));
            writeln!(
                out,
                "{name:<32}{:>9}{:>9.2}{:>9.2}{:>9.2}",
                took.len(),
                at(0.5),
                at(0.99),
                at(1.0)
            )?;
        }
        let each: Vec<_> = self
            .each
            .iter()
            .map(|p99| format!("{:.2}", millis(*p99)))
            .collect();
        let far = |fraction| millis(percentile(&self.far, fraction));
        writeln!(
            out,
            "p99 of each: {} ms; of {} half seconds far from any: {:.2} ms, from {:.2} to {:.2} ms",
            each.join(", "),
            self.far.len(),
            far(0.5),
            far(0.0),
            far(1.0),
        )
    }
}

fn sorted(took: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut took: Vec<Duration> = took.collect();
    took.sort_unstable();
    took
}
