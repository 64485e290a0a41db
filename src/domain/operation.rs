//! An operation: one action that a caller requested, and everything known about it.

use std::borrow::Cow;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::clock::now;
use super::{
    Action, CallerName, Evidence, Idempotency, OperationId, ProblemCode, RequestId, Target,
};

macro_rules! named_values {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)+
        }

        impl $name {
            /// Every value, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The text used in JSON and in the ledger.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value that `text` stands for, if any.
            #[must_use]
            pub fn from_name(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}

named_values! {
    /// The status of what the caller requested, in the terms of Azure's status monitors, so
    /// that the pollers of Azure's SDKs work unchanged.
    Status {
        /// Recorded, not yet answered by the vendor.
        NotStarted = "NotStarted",
        /// Answered by the vendor, not known to have ended.
        Running = "Running",
        /// Ended: the request was fulfilled.
        Succeeded = "Succeeded",
        /// Ended: not confirmed; the operation's error says why.
        Failed = "Failed",
        /// Ended: the requested action was called off. Never the end of a cancel.
        Canceled = "Canceled",
    }
}

impl Status {
    /// Whether the operation has ended.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::NotStarted | Self::Running => false,
            Self::Succeeded | Self::Failed | Self::Canceled => true,
        }
    }
}

named_values! {
    /// The outcome of a cancel.
    Outcome {
        /// The publish that the cancel applied to ended canceled.
        Canceled = "canceled",
        /// Nothing was running when the cancel was sent.
        NothingToCancel = "nothingToCancel",
        /// The publish that the cancel applied to ended failed.
        AlreadyFailed = "alreadyFailed",
        /// The publish that the cancel applied to completed before the cancel could take effect.
        AlreadyCompleted = "alreadyCompleted",
        /// The publish that the cancel applied to is still running.
        NotCanceled = "notCanceled",
        /// The evidence is not sufficient.
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

named_values! {
    /// Whether the vendor received the request.
    Delivered {
        /// It provably never left the gateway.
        No = "no",
        /// The vendor answered it.
        Yes = "yes",
        /// It may have arrived; no answer came back.
        Unknown = "unknown",
    }
}

/// The parts of the vendor's answer that callers see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalFacts {
    /// Status of its answer to the action; none while there is no answer.
    pub http_status: Option<u16>,
    /// Its latest status text, plain.
    pub status: Option<String>,
    /// Path of its own status monitor, if it named a recognized one.
    pub location: Option<String>,
    /// Its `X-Ms-Correlation-Request-Id`, for support requests.
    pub correlation_id: Option<String>,
    /// Whether it received the request.
    pub delivered: Delivered,
}

/// The vendor's error code and message: plain text, at most 1 KiB each, redacted.
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
    /// What happened, in a sentence; text of the vendor is redacted.
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

/// An operation: the row of the ledger and the body of the status monitor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Also the last segment of its Operation-Location.
    pub id: OperationId,
    /// The requested action.
    pub action: Action,
    /// Its status.
    pub status: Status,
    /// How it ended; none while unfinished, and none if the vendor refused.
    pub outcome: Option<Outcome>,
    /// The offer, and its publisher.
    pub target: Target,
    /// The only caller that may see it.
    pub requested_by: CallerName,
    /// The id of the request.
    pub request_id: RequestId,
    /// The idempotency key of the request; never shown to callers.
    pub idempotency: Option<Box<Idempotency>>,
    /// When the intent was recorded.
    pub created_at: Timestamp,
    /// The time of the latest change.
    pub updated_at: Timestamp,
    /// The vendor's answer.
    pub portal: PortalFacts,
    /// Why it failed.
    pub error: Option<OperationError>,
    /// The findings of polling so far; never shown to callers.
    pub evidence: Evidence,
}

impl Operation {
    /// The intent, which is recorded before the request is sent to the vendor.
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
                // Until the vendor's answer says otherwise: after a crash it is open
                // whether the request was sent.
                delivered: Delivered::Unknown,
            },
            error: None,
            evidence: Evidence::default(),
        }
    }

    /// The vendor may have acted: polling has to find out the outcome. A finished operation
    /// does not change.
    pub fn follow(&mut self, delivered: Delivered) {
        if self.status.is_final() {
            return;
        }
        self.status = Status::Running;
        self.portal.delivered = delivered;
        self.touch();
    }

    /// Records what a poll has found, and the vendor's latest status text, if any. A
    /// finished operation does not change.
    pub fn record_poll(&mut self, evidence: Evidence, status: Option<&str>) {
        if self.status.is_final() {
            return;
        }
        self.evidence = evidence;
        if let Some(status) = status {
            self.portal.status = Some(status.to_owned());
        }
        self.touch();
    }

    /// Ends the operation with an outcome. The evidence is no longer needed. A finished
    /// operation does not change.
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

    /// Ends the operation without an outcome: the request was refused, or never sent. A
    /// finished operation does not change.
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

    /// Whether it ended without an outcome: the vendor refused it, or never received it.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.status == Status::Failed && self.outcome.is_none()
    }

    /// Every change has its own time, later than the one before even if the clock goes back:
    /// it identifies the states of an operation.
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
    fn a_finished_operation_does_not_change() {
        let mut finished = Operation::sample();
        finished.finish(Outcome::Canceled, None);
        let mut refused = Operation::sample();
        refused.refuse(Delivered::No, fault());
        for over in [finished, refused] {
            let mut later = over.clone();
            later.follow(Delivered::Yes);
            later.record_poll(
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
        operation.record_poll(Evidence::default(), None);
        times.push(operation.updated_at);
        operation.finish(Outcome::Unknown, Some(fault()));
        times.push(operation.updated_at);
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
        // A microsecond is what the ledger keeps.
        assert_eq!(times[3].as_microsecond() - times[0].as_microsecond(), 3);
    }
}
