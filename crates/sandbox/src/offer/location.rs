//! How an answer names its operation. The vendor has six ways, and every one of them occurs;
//! a gateway that knows only some of them loses operations.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Behaviour, Key};

const HOST: &str = "https://cloudpartner.azure.com";
const VERSION: &str = "api-version=2017-10-31";

/// Where the answer to cancel, publish and golive names the operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Place {
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

/// The answer to an accepted action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// 202, or 200 where the vendor was done at once.
    pub(crate) status: u16,
    pub(crate) header: Option<(&'static str, String)>,
    /// A JSON object of one member.
    pub(crate) member: Option<(String, String)>,
    /// The submission to print as the body.
    pub(crate) submission: Option<Uuid>,
}

impl Named {
    pub(super) fn nothing(status: u16) -> Self {
        Self {
            status,
            header: None,
            member: None,
            submission: None,
        }
    }

    pub(super) fn submission(submission: Option<Uuid>) -> Self {
        Self {
            submission,
            ..Self::nothing(200)
        }
    }

    /// The location as it was given, wherever it was given.
    pub(super) fn path(&self) -> Option<&str> {
        let header = self.header.as_ref().map(|(_, value)| value.as_str());
        header.or(self.member.as_ref().map(|(_, value)| value.as_str()))
    }
}

/// Names `operation` the way that offers of this behaviour do.
pub(super) fn name(behaviour: &Behaviour, key: &Key, operation: Uuid) -> Named {
    let Key { publisher, offer } = key;
    let path = format!("/api/publishers/{publisher}/offers/{offer}/operations/{operation}");
    let mut named = Named::nothing(202);
    match behaviour.place {
        Place::Absolute => named.header = Some(("Operation-Location", format!("{HOST}{path}"))),
        Place::Relative => named.header = Some(("Operation-Location", path)),
        Place::Migrated => named.header = Some(("Location", format!("{path}?{VERSION}"))),
        Place::Unmigrated => {
            let path = format!("/api/operations/{publisher}${offer}$2$preview?{VERSION}");
            named.header = Some(("Location", path));
        }
        Place::InBody => named.member = Some((behaviour.body_member.clone(), path)),
        Place::Nowhere => {}
    }
    named
}
