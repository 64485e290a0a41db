//! How an offer responds, whatever its state: what a scenario or a test chooses.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a cancel does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CancelStyle {
    /// 202; the running publish is canceled after `cancel_after`.
    #[default]
    #[serde(rename = "bites")]
    TakesEffect,
    /// 200 without a body; canceled at once.
    Sync,
    /// 200 with the submission as body; canceled at once.
    SyncObject,
    /// 202; the running publish completes before the cancel takes effect.
    Completes,
    /// 202; the running publish fails before the cancel takes effect.
    Fails,
    /// 202; the running publish never stops.
    #[serde(rename = "stubborn")]
    NeverStops,
}

/// Where the response to cancel, publish and golive names the operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum LocationStyle {
    /// `Operation-Location`, absolute on the vendor's host (2018).
    Absolute,
    /// `Operation-Location`, relative (2018).
    Relative,
    /// `Location`, relative, with the version (2020, migrated offers).
    #[default]
    Migrated,
    /// `Location: /api/operations/P$O$2$preview` (2020, offers not migrated).
    Unmigrated,
    /// In the body.
    InBody,
    /// Nowhere.
    Nowhere,
}

/// Whether the offer is visible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Access {
    /// Every call works.
    #[default]
    Granted,
    /// Every call is 403.
    Forbidden,
    /// Every call but the creating PUT is 404.
    Missing,
}

/// How an offer responds, whatever its state.
#[derive(Clone, Debug)]
pub(crate) struct Behaviour {
    pub(crate) scenario: String,
    pub(crate) access: Access,
    pub(crate) location: LocationStyle,
    pub(crate) cancel: CancelStyle,
    pub(crate) cancel_after: Duration,
    pub(crate) publish_takes: Option<Duration>,
    /// A cancel has an operation of its own instead of that of the publish it ends.
    pub(crate) own_operation: bool,
    /// `changedTime` ends with Z.
    pub(crate) zone: bool,
    /// Responses have Date.
    pub(crate) date: bool,
    /// The offer has an ETag.
    pub(crate) etag: bool,
    /// An operation is shown as an array of one, as in the reference.
    pub(crate) operation_in_array: bool,
    /// A publish passes validation.
    pub(crate) valid: bool,
}

impl Behaviour {
    /// The behaviour without a scenario.
    pub(crate) fn new(cancel_after: Duration, publish: Option<Duration>) -> Self {
        Self {
            scenario: "migrated".into(),
            access: Access::Granted,
            location: LocationStyle::Migrated,
            cancel: CancelStyle::TakesEffect,
            cancel_after,
            publish_takes: publish,
            own_operation: false,
            zone: true,
            date: true,
            etag: true,
            operation_in_array: false,
            valid: true,
        }
    }
}
