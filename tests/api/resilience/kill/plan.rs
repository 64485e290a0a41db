//! The plan of the kill test: which cancels come when, what the vendor does with them,
//! and when the gateway dies. All of it follows from one number.

use std::time::Duration;

use fastrand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;

/// Rounds, and so kills, of each sort.
const BURSTS: usize = 14;
const DRAININGS: usize = 5;
const FOLLOWINGS: usize = 4;
const START_UPS: usize = 4;
const STARTINGS: usize = 3;
/// New cancels in a round that has any.
const CANCELS: usize = 14;

/// Each stands as often as it is to be chosen.
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

/// Not one of the sandbox's: its publish completes by itself, before a cancel bites.
pub const ENDS_ALONE: &str = "ends-alone";

/// In what the kill finds the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Cancels have just come.
    Burst,
    /// The same, and it has been told to stop.
    Draining,
    /// All cancels are answered, and those unfinished are followed.
    Following,
    /// It has just said that it listens, and cancels have come at once.
    StartUp,
    /// It was started, and has perhaps said nothing yet.
    Starting,
}

/// One life of the gateway.
pub struct Round {
    pub moment: Moment,
    /// From the moment until the kill.
    pub delay: Duration,
    pub cancels: Vec<Cancel>,
}

/// A cancel to be asked for: the only one of its offer.
pub struct Cancel {
    pub offer: String,
    /// Its `X-Request-Id`.
    pub request_id: String,
    pub key: Option<Uuid>,
    /// What the sandbox is ordered to do wrong, without saying with which offer.
    pub order: Option<Value>,
}

impl Cancel {
    /// Nothing goes wrong with it at the vendor's, though it may take longer.
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

/// Short ones as often as long ones: what takes milliseconds is to be hit as well as
/// what takes half a second.
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

/// What goes wrong with a cancel at the vendor's; often nothing.
fn order(random: &mut Rng) -> Option<Value> {
    let on_cancel = |fault: Value| json!({"on": "cancel", "fault": fault});
    let on_reading = |fault: Value| json!({"on": "submissions", "fault": fault});
    let ms = random.u32(20..900);
    Some(match random.u32(..24) {
        // The vendor acts, and says so later: most kills are to come in between.
        0..=6 => on_cancel(json!({"kind": "delay", "ms": ms})),
        7 => on_cancel(json!({"kind": "reset"})),
        8 => on_cancel(json!({"kind": "cut-body"})),
        9 => on_cancel(json!({"kind": "stale"})),
        10 => on_cancel(json!({"kind": "no-date"})),
        11 => on_cancel(json!({"kind": "hang"})),
        // The vendor says that it has failed, and has acted, or has not.
        12 => json!({"on": "cancel", "acts": true, "fault": {"kind": "status", "status": 503}}),
        13 => on_cancel(json!({"kind": "internal-error"})),
        14 => json!({"on": "cancel", "acts": false, "fault": {"kind": "close"}}),
        15 => on_cancel(json!({"kind": "throttle"})),
        16 => on_reading(json!({"kind": "delay", "ms": ms})),
        17 => on_reading(json!({"kind": "reset"})),
        _ => return None,
    })
}
