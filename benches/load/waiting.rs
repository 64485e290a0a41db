//! Callers who ask to be answered when their operation ends: how soon they are, what they
//! cost meanwhile, and how soon a gateway that stops lets them go.

use std::io::{Error, Write};
use std::time::Duration;

use crate::figures::{as_f64, millis, percentile};
use crate::generator::Generator;
use crate::process::Server;
use crate::report::verdict;
use crate::standin::StandIn;

/// From the moment that the end is known, which is before it is recorded, until the
/// answer is there.
const AIM: Duration = Duration::from_millis(20);
/// How long they want to wait at most: longer than all of this takes.
pub const LONGEST: Duration = Duration::from_secs(60);
/// Between two looks at one operation, in seconds.
pub const POLL: u32 = 1;
/// Operations that others wait for, who are many.
const SHARED: usize = 100;

const FIRST: &str = "bench-follow-first-";
const SECOND: &str = "bench-follow-second-";
const ENDLESS: &str = "bench-follow-endless-";

/// How many wait.
#[derive(Clone, Copy)]
pub struct Waiting {
    /// Each for an operation of its own, whose end is measured.
    pub measured: usize,
    /// For operations that do not end.
    pub others: usize,
}

/// What was measured.
pub struct Waited {
    waiting: Waiting,
    /// How soon they were told, shortest first, nobody else waiting.
    alone: Vec<Duration>,
    /// The same, among the others.
    among: Vec<Duration>,
    /// Resident memory of one of the others, above an idle connection's, in KiB.
    kib_each: f64,
    /// From the signal to stop until the last of the others was answered.
    dismissed_in: Duration,
}

impl Waited {
    /// Stops the gateway at last.
    pub fn measure(
        generator: &Generator,
        gateway: &Server,
        vendor: &StandIn,
        waiting: Waiting,
    ) -> Result<Self, Error> {
        // Both kinds are connected at a time.
        let others = gateway.connections()?.saturating_sub(waiting.measured);
        let waiting = Waiting {
            others: others.min(waiting.others),
            ..waiting
        };
        let Waiting { measured, others } = waiting;
        let told = |offers| {
            let ids = generator.accepted(gateway, offers, measured)?;
            let mut callers = generator.callers(gateway, &ids, measured)?;
            generator.wait(&mut callers, LONGEST)?;
            generator.end(vendor, offers)?;
            generator.told(callers)
        };
        let alone = told(FIRST)?;
        let ids = generator.accepted(gateway, ENDLESS, SHARED.min(others))?;
        let mut callers = generator.callers(gateway, &ids, others)?;
        let idle = resident_kib(gateway)?;
        generator.wait(&mut callers, LONGEST)?;
        let kib_each = (resident_kib(gateway)? - idle) / as_f64(others);
        let among = told(SECOND)?;
        gateway.terminate()?;
        Ok(Self {
            waiting,
            alone,
            among,
            kib_each,
            dismissed_in: generator.dismissed(callers)?,
        })
    }

    pub fn print(&self, out: &mut impl Write) -> Result<(), Error> {
        let Waiting { measured, others } = self.waiting;
        let columns = ("p50 ms", "p99 ms", "max ms");
        writeln!(
            out,
            "\n{:<40}{:>9}{:>9}{:>9}",
            format!("{measured} waits, from the end to its answer"),
            columns.0,
            columns.1,
            columns.2
        )?;
        let among = format!("among {others} others");
        for (name, took) in [("alone", &self.alone), (&*among, &self.among)] {
            let at = |fraction| millis(percentile(took, fraction));
            writeln!(
                out,
                "{name:<40}{:>9.2}{:>9.2}{:>9.2}",
                at(0.5),
                at(0.99),
                at(1.0)
            )?;
        }
        writeln!(
            out,
            "{others} waits: {:.2} KiB each above an idle connection; all answered {:.0} ms after \
             the signal to stop",
            self.kib_each,
            millis(self.dismissed_in)
        )
    }

    pub fn aims(&self, out: &mut impl Write) -> Result<(), Error> {
        for (name, took) in [("alone", &self.alone), ("among others", &self.among)] {
            let p99 = percentile(took, 0.99);
            writeln!(
                out,
                "{:<9}a wait that ends is answered within {AIM:?}, {name}: p99 {:.2} ms",
                verdict(p99 <= AIM),
                millis(p99)
            )?;
        }
        Ok(())
    }
}

fn resident_kib(server: &Server) -> Result<f64, Error> {
    let resident = u32::try_from(server.status_kib("VmRSS")?).map_err(Error::other)?;
    Ok(f64::from(resident))
}
