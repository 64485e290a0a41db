//! The plan of the kill test: the cancels and their times, the vendor's faults, and the
//! moments of the kills, all derived from one seed.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;

/// Rounds of each kind, each with one kill.
const BURSTS: usize = 14;
const DRAININGS: usize = 5;
const FOLLOWINGS: usize = 4;
const START_UPS: usize = 4;
const STARTINGS: usize = 3;
/// New cancels in a round that has any.
const CANCELS: usize = 14;

/// Each is repeated according to its weight.
const SCENARIOS: [&str; 20] = [
    "migrated",
    "migrated",
    "migrated",
    "nowhere",
    "nowhere",
    "unmigrated",
    "absolute",
    "relative",
    "in-body",
    "completes",
    "completes",
    "fails",
    "idle",
    "empty",
    "already-canceled",
    "sync",
    "sync-object",
    "own-operation",
    "stubborn",
    ENDS_ALONE,
];

/// Not a scenario of the sandbox: its publish completes before a cancel takes effect.
pub const ENDS_ALONE: &str = "ends-alone";

/// The gateway's state at the moment of the kill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Cancels have just arrived.
    Burst,
    /// The same, after SIGTERM.
    Draining,
    /// All cancels are answered, and the unfinished ones are polled.
    Following,
    /// It has just started listening, and cancels have arrived at once.
    StartUp,
    /// It was just started, perhaps without any output yet.
    Starting,
}

/// One run of the gateway.
pub struct Round {
    pub moment: Moment,
    /// From the moment until the kill.
    pub delay: Duration,
    pub cancels: Vec<Cancel>,
}

/// A cancel to be requested: the only one of its offer.
pub struct Cancel {
    pub offer: String,
    /// Its `X-Request-Id`.
    pub request_id: String,
    pub key: Option<Uuid>,
    /// The fault to set in the sandbox, without the offer.
    pub order: Option<Value>,
}

impl Cancel {
    /// The vendor handles it without a fault, perhaps slowly.
    pub fn goes_well(&self) -> bool {
        let order = self.order.as_ref();
        order.is_none_or(|order| order["fault"]["kind"] == "delay")
    }

    pub fn ends_alone(&self) -> bool {
        self.offer.starts_with(ENDS_ALONE)
    }
}

pub fn rounds(seed: u64) -> Vec<Round> {
    let mut random = Rng::with_seed(seed);
    let mut moments: Vec<Moment> = [
        (Moment::Burst, BURSTS),
        (Moment::Draining, DRAININGS),
        (Moment::Following, FOLLOWINGS),
        (Moment::StartUp, START_UPS),
        (Moment::Starting, STARTINGS),
    ]
    .into_iter()
    .flat_map(|(moment, count)| std::iter::repeat_n(moment, count))
    .collect();
    random.shuffle(&mut moments);
    let mut number = 0;
    let round = |moment| {
        let count = match moment {
            Moment::Starting => 0,
            _ => CANCELS,
        };
        let cancels = (0..count).map(|_| {
            number += 1;
            cancel(&mut random, number)
        });
        let cancels = cancels.collect();
        let longest = match moment {
            Moment::Burst => 600,
            Moment::Draining => 120,
            Moment::Following => 1500,
            Moment::StartUp => 150,
            Moment::Starting => 250,
        };
        Round {
            moment,
            delay: delay(&mut random, longest),
            cancels,
        }
    };
    moments.into_iter().map(round).collect()
}

/// Short delays as often as long ones, so that kills hit steps of milliseconds as well as
/// those of half a second.
fn delay(random: &mut Rng, longest_ms: u32) -> Duration {
    let ms = f64::from(longest_ms).powf(random.f64());
    Duration::from_secs_f64(ms / 1e3)
}

fn cancel(random: &mut Rng, number: usize) -> Cancel {
    let scenario = SCENARIOS[random.usize(..SCENARIOS.len())];
    let keyed = scenario != ENDS_ALONE && random.bool();
    Cancel {
        offer: format!("{scenario}-{number}"),
        request_id: format!("kill-{number}"),
        key: keyed.then(|| Uuid::from_u128(random.u128(..))),
        order: order(random),
    }
}

/// The vendor's fault for a cancel; often none.
fn order(random: &mut Rng) -> Option<Value> {
    let on_cancel = |fault: Value| json!({"on": "cancel", "fault": fault});
    let on_reading = |fault: Value| json!({"on": "submissions", "fault": fault});
    let ms = random.u32(20..900);
    Some(match random.u32(..24) {
        // The vendor acts and answers later, so that most kills fall in between.
        0..=6 => on_cancel(json!({"kind": "delay", "ms": ms})),
        7 => on_cancel(json!({"kind": "reset"})),
        8 => on_cancel(json!({"kind": "cut-body"})),
        9 => on_cancel(json!({"kind": "stale"})),
        10 => on_cancel(json!({"kind": "no-date"})),
        11 => on_cancel(json!({"kind": "hang"})),
        // The vendor reports a failure, with or without having acted.
        12 => json!({"on": "cancel", "acts": true, "fault": {"kind": "status", "status": 503}}),
        13 => on_cancel(json!({"kind": "internal-error"})),
        14 => json!({"on": "cancel", "acts": false, "fault": {"kind": "close"}}),
        15 => on_cancel(json!({"kind": "throttle"})),
        16 => on_reading(json!({"kind": "delay", "ms": ms})),
        17 => on_reading(json!({"kind": "reset"})),
        _ => return None,
    })
}
