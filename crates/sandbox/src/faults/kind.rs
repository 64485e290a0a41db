//! The kinds of faults and their parameters, as they are written in JSON. A parameter that
//! does not exist is refused, so that no test runs with a fault it did not order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::Cut;

/// The longest delay, in milliseconds.
const LONGEST: u64 = 24 * 60 * 60 * 1000;

/// What goes wrong.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub(crate) enum Kind {
    /// The normal answer, `ms` late.
    Delay { ms: u64 },
    /// Any status, with any headers and body; a body that is no string is sent as JSON.
    Status {
        status: u16,
        #[serde(default)]
        body: Value,
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// No answer, and the connection stays open.
    Hang {},
    /// Content-Length names more than the `keep` bytes that come (default: half the body).
    CutBody {
        #[serde(default)]
        keep: Option<usize>,
    },
    /// A chunked body that is cut at `start`, in the `middle`, or at the `end` (all of the
    /// body, but not the last chunk).
    CutChunked {
        #[serde(default)]
        at: Cut,
    },
    /// Bytes that are no HTTP.
    Garbage {
        #[serde(default)]
        bytes: Option<String>,
    },
    /// A redirect.
    Redirect {
        #[serde(default = "found")]
        status: u16,
        location: String,
    },
    /// TCP RST instead of an answer.
    Reset {},
    /// TCP FIN instead of an answer.
    Close {},
    /// The normal answer, after which the kept-alive connection is closed unannounced.
    Stale {},
    /// A 1xx answer first, the normal one `after_ms` later.
    Informational {
        #[serde(default = "early_hints")]
        status: u16,
        #[serde(default)]
        after_ms: u64,
    },
    /// 401, as for a token that is not accepted; on the token endpoint, as for a wrong secret.
    Unauthorized {},
    /// 429 with Retry-After.
    Throttle {
        #[serde(default = "a_while")]
        retry_after_seconds: u32,
        #[serde(default, rename = "as")]
        form: RetryForm,
    },
    /// The vendor's own 500.
    InternalError {},
    /// 404 or 410, as the managed identity endpoints answer while a machine starts.
    IdentityNotReady {
        #[serde(default = "gone")]
        status: u16,
    },
    /// An error of Entra, by its number without AADSTS.
    EntraError { code: u32 },
    /// A page of some front end.
    Html {
        #[serde(default = "unavailable")]
        status: u16,
    },
    /// The normal answer, encoded as nobody asked.
    Gzip {},
    /// 200 (or `status`) and no body.
    Empty {
        #[serde(default = "ok")]
        status: u16,
    },
    /// The normal status and headers, but a body that is no JSON, although it says so.
    NotJson {},
    /// A body of that many bytes.
    Huge {
        bytes: u64,
        #[serde(default)]
        chunked: bool,
    },
    /// The body a byte at a time.
    Drip { every_ms: u64 },
    /// The normal answer without Date.
    NoDate {},
    /// Another place in the headers, each `{operation}` in it replaced by the true path; what
    /// is not given is removed.
    Location {
        #[serde(default)]
        location: Option<String>,
        #[serde(default)]
        operation_location: Option<String>,
    },
    /// The credential of the request, everywhere in the answer.
    Reflect {
        #[serde(default = "bad_request")]
        status: u16,
        #[serde(default)]
        part: Part,
    },
    /// On the token endpoint: the last token again.
    SameToken {},
}

/// How Retry-After is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RetryForm {
    #[default]
    Seconds,
    Date,
    /// Not at all.
    Missing,
}

/// How much of a credential is reflected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Part {
    #[default]
    Whole,
    /// Its last 24 characters.
    Slice,
}

fn found() -> u16 {
    302
}
fn early_hints() -> u16 {
    103
}
fn unavailable() -> u16 {
    503
}
fn ok() -> u16 {
    200
}
fn bad_request() -> u16 {
    400
}
fn gone() -> u16 {
    410
}
fn a_while() -> u32 {
    7
}

impl Kind {
    /// Its name in an order.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Delay { .. } => "delay",
            Self::Status { .. } => "status",
            Self::Hang {} => "hang",
            Self::CutBody { .. } => "cut-body",
            Self::CutChunked { .. } => "cut-chunked",
            Self::Garbage { .. } => "garbage",
            Self::Redirect { .. } => "redirect",
            Self::Reset {} => "reset",
            Self::Close {} => "close",
            Self::Stale {} => "stale",
            Self::Informational { .. } => "informational",
            Self::Unauthorized {} => "unauthorized",
            Self::Throttle { .. } => "throttle",
            Self::InternalError {} => "internal-error",
            Self::IdentityNotReady { .. } => "identity-not-ready",
            Self::EntraError { .. } => "entra-error",
            Self::Html { .. } => "html",
            Self::Gzip {} => "gzip",
            Self::Empty { .. } => "empty",
            Self::NotJson {} => "not-json",
            Self::Huge { .. } => "huge",
            Self::Drip { .. } => "drip",
            Self::NoDate {} => "no-date",
            Self::Location { .. } => "location",
            Self::Reflect { .. } => "reflect",
            Self::SameToken {} => "same-token",
        }
    }

    /// Whether the vendor carries out the request unless the order says otherwise: yes where
    /// the answer is lost or spoilt on its way, no where the vendor refuses.
    pub(crate) fn acts_by_default(&self) -> bool {
        !matches!(
            self,
            Self::Status { .. }
                | Self::Redirect { .. }
                | Self::Unauthorized {}
                | Self::Throttle { .. }
                | Self::InternalError {}
                | Self::IdentityNotReady { .. }
                | Self::EntraError { .. }
                | Self::Html { .. }
                | Self::Reflect { .. }
        )
    }

    /// Says what is wrong with the parameters.
    pub(super) fn check(&self) -> Result<(), &'static str> {
        let (range, wrong) = match self {
            Self::Status { status, .. }
            | Self::Redirect { status, .. }
            | Self::Html { status }
            | Self::Empty { status }
            | Self::Reflect { status, .. } => (
                (200..=599).contains(status),
                "status must be from 200 to 599",
            ),
            Self::Informational { status, after_ms } => (
                (100..=199).contains(status) && *status != 101 && *after_ms <= LONGEST,
                "status must be from 100 to 199 and not 101, afterMs at most a day",
            ),
            Self::Delay { ms: wait } | Self::Drip { every_ms: wait } => {
                (*wait <= LONGEST, "ms and everyMs must be at most a day")
            }
            Self::Huge { bytes, .. } => (
                (2..=1 << 32).contains(bytes),
                "bytes must be from 2 to 4294967296",
            ),
            Self::IdentityNotReady { status } => {
                (matches!(status, 404 | 410), "status must be 404 or 410")
            }
            Self::EntraError { code } => (
                crate::entra::Trouble::of_code(*code, "", "").is_some(),
                "code must be one of 50013, 50027, 70003, 70021, 90002, 90055, 500011, 700016, \
                 700021, 700023, 700024, 700027, 700211, 700212, 700213, 900144, 1002012, \
                 7000215, 7000216, 7000222, 7000272",
            ),
            _ => (true, ""),
        };
        if range { Ok(()) } else { Err(wrong) }
    }
}
