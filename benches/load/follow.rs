//! What very many unfinished operations cost that are looked at every minute.

use std::io::{Error, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::figures::as_f64;
use crate::generator::Generator;
use crate::process::Server;
use crate::report::verdict;
use crate::standin::{FOLLOWED, StandIn};

/// What a deployment with that many is told to use: what is measured at another interval
/// is scaled to this.
pub const MINUTE: Duration = Duration::from_secs(60);
/// CPU above idle, in percent of a core.
const CPU_AIM: f64 = 5.0;
/// Resident memory of one operation, in KiB.
const MEMORY_AIM: f64 = 2.0;

/// These end at their first look. They bring the gateway to where it was before: as many
/// connections, buffers and threads, and the last operations that it keeps in memory
/// whether or not they are followed.
const WARM: &str = "bench-follow-warm-";
/// How many there are of them, in part of those that are followed.
const WARM_PART: usize = 4;
/// From the last of what is measured until nothing of it is under way any more.
const REST: Duration = Duration::from_secs(1);

/// How much is followed, and for how long it is measured.
#[derive(Clone, Copy)]
pub struct Following {
    pub operations: usize,
    /// Between two looks at one; also how long is measured, so that all are looked at.
    pub poll: Duration,
    /// How long it is measured idle.
    pub idle: Duration,
}

/// What it cost.
pub struct Followed {
    following: Following,
    /// From the first cancel until all had been looked at once.
    first_looks_in: Duration,
    /// Looks while it was measured.
    looks: usize,
    idle: Use,
    busy: Use,
}

#[derive(Clone, Copy)]
struct Use {
    took: Duration,
    cpu: Duration,
    resident_kib: f64,
}

impl Use {
    fn of(server: &Server, time: Duration) -> Result<Self, Error> {
        let (begun, cpu) = (Instant::now(), server.cpu()?);
        sleep(time);
        let resident = u32::try_from(server.status_kib("VmRSS")?).map_err(Error::other)?;
        Ok(Self {
            took: begun.elapsed(),
            cpu: server.cpu()?.saturating_sub(cpu),
            resident_kib: f64::from(resident),
        })
    }

    fn percent(&self) -> f64 {
        self.cpu.as_secs_f64() / self.took.as_secs_f64() * 100.0
    }
}

impl Followed {
    pub fn measure(
        generator: &Generator,
        gateway: &Server,
        vendor: &StandIn,
        following: Following,
    ) -> Result<Self, Error> {
        let count = following.operations;
        generator.end(vendor, WARM)?;
        generator.accepted(gateway, WARM, count / WARM_PART)?;
        generator.looked(vendor, count / WARM_PART)?;
        sleep(REST);
        let idle = Use::of(gateway, following.idle)?;
        let before = generator.looks(vendor)?;
        let begun = Instant::now();
        generator.accepted(gateway, FOLLOWED, count)?;
        generator.looked(vendor, before + count)?;
        let first_looks_in = begun.elapsed();
        sleep(REST.min(following.poll / 4));
        let before = generator.looks(vendor)?;
        let busy = Use::of(gateway, following.poll)?;
        let looks = generator.looks(vendor)? - before;
        if looks < count / 2 {
            return Err(Error::other("operations are not looked at again"));
        }
        Ok(Self {
            following,
            first_looks_in,
            looks,
            idle,
            busy,
        })
    }

    /// CPU above idle, in percent of a core, were they looked at every minute.
    fn cpu(&self) -> f64 {
        let scale = self.following.poll.as_secs_f64() / MINUTE.as_secs_f64();
        (self.busy.percent() - self.idle.percent()) * scale
    }

    fn kib_each(&self) -> f64 {
        (self.busy.resident_kib - self.idle.resident_kib) / as_f64(self.following.operations)
    }

    pub fn print(&self, out: &mut impl Write) -> Result<(), Error> {
        let Following {
            operations, poll, ..
        } = self.following;
        let looks = as_f64(self.looks);
        writeln!(
            out,
            "\n{operations} operations followed, one look each {poll:?}: first looks done after \
             {:.1} s; then {:.0} looks/s for {:.0} s, {:.0} µs of CPU each; {:.2} % of a core \
             (idle: {:.2} %), {:.1} MiB resident (idle: {:.1})",
            self.first_looks_in.as_secs_f64(),
            looks / self.busy.took.as_secs_f64(),
            self.busy.took.as_secs_f64(),
            self.busy.cpu.as_secs_f64() * 1e6 / looks,
            self.busy.percent(),
            self.idle.percent(),
            self.busy.resident_kib / 1024.0,
            self.idle.resident_kib / 1024.0,
        )
    }

    pub fn aims(&self, out: &mut impl Write) -> Result<(), Error> {
        let operations = self.following.operations;
        let scaled = match self.following.poll == MINUTE {
            true => String::new(),
            false => format!(", scaled from one each {:?}", self.following.poll),
        };
        let (cpu, kib) = (self.cpu(), self.kib_each());
        writeln!(
            out,
            "{:<9}{operations} operations followed, one look a minute: at most {CPU_AIM} % of a \
             core above idle: {cpu:.2}{scaled}",
            verdict(cpu <= CPU_AIM)
        )?;
        writeln!(
            out,
            "{:<9}{operations} operations followed: at most {MEMORY_AIM} KiB each above idle: \
             {kib:.2}",
            verdict(kib <= MEMORY_AIM)
        )
    }
}
