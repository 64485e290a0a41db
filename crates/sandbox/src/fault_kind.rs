//! The kinds of faults and their parameters, as written in JSON. Unknown parameters are refused,
//! so that no test runs with another fault than it asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The longest delay, in milliseconds.
const MAX_DELAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What goes wrong.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub(crate) enum FaultKind {
    /// The normal response, `ms` late.
    Delay { ms: u64 },
    /// Any status, headers and body; a body other than a string is sent as JSON.
    Status {
        status: u16,
        #[serde(default)]
        body: Value,
        #[serde(default)]
        headers: BTreeMap<String, String>,
    },
    /// No response, and the connection stays open.
    Hang {},
    /// Content-Length names more than the `keep` bytes that are sent (default: half the body).
    CutBody {
        #[serde(default)]
        keep: Option<usize>,
    },
    /// A chunked body that is cut at `start`, in the `middle`, or at the `end` (all of the
    /// body, but not the last chunk).
    CutChunked {
        #[serde(default)]
        at: CutPoint,
    },
    /// Bytes that are not HTTP.
    Garbage {
        #[serde(default)]
        bytes: Option<String>,
    },
    /// A redirect.
    Redirect {
        #[serde(default = "status::<302>")]
        status: u16,
        location: String,
    },
    /// TCP RST instead of a response.
    Reset {},
    /// TCP FIN instead of a response.
    Close {},
    /// The normal response, after which the kept-alive connection is closed unannounced.
    Stale {},
    /// A 1xx response first, the normal one `after_ms` later.
    Informational {
        #[serde(default = "status::<103>")]
        status: u16,
        #[serde(default)]
        after_ms: u64,
    },
    /// 401, as for an invalid token; at the token endpoint, as for a wrong secret.
    Unauthorized {},
    /// 429 with Retry-After.
    Throttle {
        #[serde(default = "retry_after")]
        retry_after_seconds: u32,
        #[serde(default, rename = "as")]
        form: RetryForm,
    },
    /// The vendor's own 500.
    InternalError {},
    /// An error of Entra, by its number after AADSTS.
    EntraError { code: u32 },
    /// A front end's HTML page.
    Html {
        #[serde(default = "status::<503>")]
        status: u16,
    },
    /// The normal response with gzip, which the client did not accept.
    Gzip {},
    /// 200 (or `status`) and no body.
    Empty {
        #[serde(default = "status::<200>")]
        status: u16,
    },
    /// The normal status and headers with a body that is truncated JSON.
    NotJson {},
    /// A body of that many bytes.
    Huge {
        bytes: u64,
        #[serde(default)]
        chunked: bool,
    },
    /// The body a byte at a time.
    Drip { every_ms: u64 },
    /// The normal response without Date.
    NoDate {},
    /// Other location headers, with `{operation}` replaced by the true path; a header that is
    /// not given is removed.
    Location {
        #[serde(default)]
        location: Option<String>,
        #[serde(default)]
        operation_location: Option<String>,
    },
    /// The credential of the request, everywhere in the response.
    Reflect {
        #[serde(default = "status::<400>")]
        status: u16,
        #[serde(default)]
        part: Part,
    },
}

/// Where a chunked body is cut.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CutPoint {
    /// After the head, before the first chunk.
    Start,
    /// In the middle of a chunk.
    #[default]
    Middle,
    /// After the whole body, before the last, empty chunk.
    End,
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

fn status<const STATUS: u16>() -> u16 {
    STATUS
}

fn retry_after() -> u32 {
    7
}

impl FaultKind {
    /// Its name in an order.
    pub(crate) fn name(&self) -> String {
        let name = json!(self)["kind"].as_str().map(str::to_owned);
        name.unwrap_or_default()
    }

    /// Whether a status line is sent at all.
    pub(crate) fn sends_status(&self) -> bool {
        !matches!(
            self,
            Self::Hang {} | Self::Garbage { .. } | Self::Reset {} | Self::Close {}
        )
    }

    /// Whether the vendor executes the request unless the order says otherwise: yes where the
    /// response is lost or damaged on its way, no where the vendor refuses.
    pub(crate) fn acts_by_default(&self) -> bool {
        !matches!(
            self,
            Self::Status { .. }
                | Self::Redirect { .. }
                | Self::Unauthorized {}
                | Self::Throttle { .. }
                | Self::InternalError {}
                | Self::EntraError { .. }
                | Self::Html { .. }
                | Self::Reflect { .. }
        )
    }

    /// Checks the parameters.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let (valid, rule) = match self {
            Self::Status { status, .. }
            | Self::Redirect { status, .. }
            | Self::Html { status }
            | Self::Empty { status }
            | Self::Reflect { status, .. } => (
                (200..=599).contains(status),
                "status must be from 200 to 599",
            ),
            Self::Informational { status, after_ms } => (
                (100..=199).contains(status) && *status != 101 && *after_ms <= MAX_DELAY_MS,
                "status must be from 100 to 199 and not 101, afterMs at most a day",
            ),
            Self::Delay { ms: wait } | Self::Drip { every_ms: wait } => (
                *wait <= MAX_DELAY_MS,
                "ms and everyMs must be at most a day",
            ),
            Self::Huge { bytes, .. } => (
                (2..=1 << 32).contains(bytes),
                "bytes must be from 2 to 4294967296",
            ),
            Self::EntraError { code } => (
                crate::entra::EntraError::of_code(*code).is_some(),
                "code must be one of 90002, 500011, 700016, 700024, 700027, 7000215, 7000222",
            ),
            _ => (true, ""),
        };
        if valid { Ok(()) } else { Err(rule) }
    }
}
