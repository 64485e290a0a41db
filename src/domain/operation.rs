//! One thing that a caller asked for, and what is known of it.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{
    Action, CallerName, Evidence, Idempotency, OperationId, ProblemCode, RequestId, Target,
};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// The word used in JSON and in the ledger.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// The value that `word` stands for, if any.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

words! {
    /// The status of what the caller asked for, in the words of Azure's status
    /// monitors, so that the pollers of Azure's SDKs follow it unchanged.
    Status {
        /// Recorded, not yet answered by the vendor.
        NotStarted = "NotStarted",
        /// Answered by the vendor, not yet known to be over.
        Running = "Running",
        /// Over: what was asked for is so.
        Succeeded = "Succeeded",
        /// Over: not confirmed; the operation's error says why.
        Failed = "Failed",
        /// Over: somebody called off what was asked for. A cancel never ends so.
        Canceled = "Canceled",
    }
}

impl Status {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::NotStarted | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Canceled => true,
        }
    }
}

words! {
    /// What became of a cancel.
    Outcome {
        /// The publish that the cancel met ended canceled.
        Canceled = "canceled",
        /// Nothing was running when we asked.
        NothingToCancel = "nothingToCancel",
        /// The publish that the cancel met ended failed.
        AlreadyFailed = "alreadyFailed",
        /// The publish that the cancel met completed before the cancel could bite.
        AlreadyCompleted = "alreadyCompleted",
        /// The publish that the cancel met still runs.
        NotCanceled = "notCanceled",
        /// The evidence does not decide.
        Unknown = "unknown",
    }
}

impl Outcome {
    /// The status that an operation with this outcome ends in.
    #[must_use]
    pub fn status(self) -> Status {
        match self {
            Self::Canceled | Self::NothingToCancel | Self::AlreadyFailed => Status::Succeeded,
            Self::AlreadyCompleted | Self::NotCanceled | Self::Unknown => Status::Failed,
        }
    }
}

words! {
    /// Did the vendor get the request?
    Delivered {
        /// It provably never left.
        No = "no",
        /// The vendor answered it.
        Yes = "yes",
        /// It may have arrived; nothing came back.
        Unknown = "unknown",
    }
}

/// What the vendor said, freed of everything that is not ours to pass on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalFacts {
    /// Status of its answer to the action; none while nothing was received.
    pub http_status: Option<u16>,
    /// Its own latest word for the status, as plain text.
    pub status: Option<String>,
    /// Path of its own status monitor, if it named a recognized one.
    pub location: Option<String>,
    /// Its `X-Ms-Correlation-Request-Id`, for a support call.
    pub correlation_id: Option<String>,
    /// Whether it got the request.
    pub delivered: Delivered,
}

/// What the vendor said in words about an error: plain, at most 1 KiB each, redacted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortalError {
    /// Its error code.
    pub code: Option<String>,
    /// Its message.
    pub message: Option<String>,
}

/// Why an operation is `Failed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationError {
    /// What happened, for programs.
    pub code: ProblemCode,
    /// What happened, in a sentence. Vendor text only after redaction.
    pub message: Cow<'static, str>,
}

impl OperationError {
    /// An error with this code and sentence.
    #[must_use]
    pub fn new(code: ProblemCode, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { code, message }
    }
}

/// This moment, to the microsecond: what the ledger keeps, so that an operation
/// reads the same before and after.
#[must_use]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// An operation: the row of the ledger and the body of the status monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Also the last segment of its Operation-Location.
    pub id: OperationId,
    /// What was asked for.
    pub action: Action,
    /// Where it stands.
    pub status: Status,
    /// How it ended; none while unfinished, and none where the vendor refused.
    pub outcome: Option<Outcome>,
    /// The offer, and its publisher.
    pub target: Target,
    /// Who asked, and who alone may see it.
    pub requested_by: CallerName,
    /// The request that asked.
    pub request_id: RequestId,
    /// The idempotency key of that request; never shown to callers.
    pub idempotency: Option<Box<Idempotency>>,
    /// When the intent was recorded.
    pub created_at: Timestamp,
    /// When anything about it last changed.
    pub updated_at: Timestamp,
    /// What the vendor said.
    pub portal: PortalFacts,
    /// Why it failed.
    pub error: Option<OperationError>,
    /// What following it has found so far; never shown to callers.
    pub evidence: Evidence,
}

impl Operation {
    /// The intent: what is recorded before the first byte goes to the vendor.
    #[must_use]
    pub fn intent(
        action: Action,
        target: Target,
        requested_by: CallerName,
        request_id: RequestId,
    ) -> Self {
        let now = now();
        Self {
            id: OperationId::generate(),
            action,
            status: Status::NotStarted,
            outcome: None,
            target,
            requested_by,
            request_id,
            idempotency: None,
            created_at: now,
            updated_at: now,
            portal: PortalFacts {
                http_status: None,
                status: None,
                location: None,
                correlation_id: None,
                // Until the vendor's answer says otherwise: a crash from here
                // on leaves it open whether the request went out.
                delivered: Delivered::Unknown,
            },
            error: None,
            evidence: Evidence::default(),
        }
    }

    /// The vendor may have acted: what became of it is to be found out. What is over
    /// stays as it is.
    pub fn follow(&mut self, delivered: Delivered) {
        if self.status.is_final() {
            return;
        }
        self.status = Status::Running;
        self.portal.delivered = delivered;
        self.touch();
    }

    /// Keeps what a look has found, and the vendor's latest word, if it said one. What
    /// is over stays as it is.
    pub fn learn(&mut self, evidence: Evidence, word: Option<&str>) {
        if self.status.is_final() {
            return;
        }
        self.evidence = evidence;
        if let Some(word) = word {
            self.portal.status = Some(word.to_owned());
        }
        self.touch();
    }

    /// Ends the operation with what became of it. There is nothing left to find out,
    /// so the evidence is let go. What is over stays as it is.
    pub fn finish(&mut self, outcome: Outcome, error: Option<OperationError>) {
        if self.status.is_final() {
            return;
        }
        self.evidence = Evidence::default();
        self.status = outcome.status();
        self.outcome = Some(outcome);
        self.error = error;
        self.touch();
    }

    /// Ends the operation without an outcome: the request was refused, or never left.
    /// What is over stays as it is.
    pub fn refuse(&mut self, delivered: Delivered, error: OperationError) {
        if self.status.is_final() {
            return;
        }
        self.evidence = Evidence::default();
        self.status = Status::Failed;
        self.portal.delivered = delivered;
        self.error = Some(error);
        self.touch();
    }

    /// Every change has a time of its own, later than the one before, whatever the
    /// clock does: it tells the states of an operation apart.
    fn touch(&mut self) {
        let next = self.updated_at.checked_add(SignedDuration::from_micros(1));
        self.updated_at = next.map_or_else(|_| now(), |next| next.max(now()));
    }
}

#[cfg(test)]
impl Operation {
    /// An intent to cancel, for tests.
    pub fn sample() -> Self {
        Self::intent(
            Action::Cancel,
            Target::sample("contoso", "vm"),
            CallerName::parse("pipeline").unwrap(),
            RequestId::generate(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault() -> OperationError {
        OperationError::new(ProblemCode::OutcomeUnknown, "")
    }

    #[test]
    fn what_is_over_stays_as_it_is() {
        let mut finished = Operation::sample();
        finished.finish(Outcome::Canceled, None);
        let mut refused = Operation::sample();
        refused.refuse(Delivered::No, fault());
        for over in [finished, refused] {
            let mut later = over.clone();
            later.follow(Delivered::Yes);
            later.learn(
                Evidence {
                    took_ms: 1,
                    ..Evidence::default()
                },
                Some("running"),
            );
            later.finish(Outcome::Unknown, Some(fault()));
            later.refuse(Delivered::Yes, fault());
            assert_eq!(later, over);
        }
    }

    #[test]
    fn every_change_is_later_than_the_one_before() {
        let mut operation = Operation::sample();
        let ahead = operation.created_at + SignedDuration::from_hours(1);
        operation.updated_at = ahead;
        let mut times = vec![ahead];
        operation.follow(Delivered::Yes);
        times.push(operation.updated_at);
        operation.learn(Evidence::default(), None);
        times.push(operation.updated_at);
        operation.finish(Outcome::Unknown, Some(fault()));
        times.push(operation.updated_at);
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        // A microsecond is what the ledger keeps.
        assert_eq!(times[3].as_microsecond() - times[0].as_microsecond(), 3);
    }
}
