//! How a response names its operation. The vendor has six ways and uses all of them; a gateway
//! that knows only some loses operations.

use uuid::Uuid;

use super::behaviour::{Behaviour, LocationStyle};
use super::key::Key;

const HOST: &str = "https://cloudpartner.azure.com";
const VERSION: &str = "api-version=2017-10-31";

/// The response to an accepted action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Accepted {
    /// 202, or 200 where the vendor finished at once.
    pub(crate) status: u16,
    pub(crate) header: Option<(&'static str, String)>,
    /// The only member of a JSON object in the body.
    pub(crate) member: Option<(&'static str, String)>,
    /// The submission to show in the body.
    pub(crate) submission: Option<Uuid>,
}

impl Accepted {
    pub(super) fn bare(status: u16) -> Self {
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
            ..Self::bare(200)
        }
    }

    /// The location, in a header or in the body.
    pub(super) fn location(&self) -> Option<&str> {
        let header = self.header.as_ref().map(|(_, value)| value.as_str());
        header.or(self.member.as_ref().map(|(_, value)| value.as_str()))
    }
}

/// A 202 that names `operation` as this behaviour says.
pub(super) fn accepted(behaviour: &Behaviour, key: &Key, operation: Uuid) -> Accepted {
    let Key { publisher, offer } = key;
    let path = format!("/api/publishers/{publisher}/offers/{offer}/operations/{operation}");
    let mut accepted = Accepted::bare(202);
    match behaviour.location {
        LocationStyle::Absolute => {
            accepted.header = Some(("Operation-Location", format!("{HOST}{path}")))
        }
        LocationStyle::Relative => accepted.header = Some(("Operation-Location", path)),
        LocationStyle::Migrated => {
            accepted.header = Some(("Location", format!("{path}?{VERSION}")))
        }
        LocationStyle::Unmigrated => {
            let path = format!("/api/operations/{publisher}${offer}$2$preview?{VERSION}");
            accepted.header = Some(("Location", path));
        }
        LocationStyle::InBody => accepted.member = Some(("operationLocation", path)),
        LocationStyle::Nowhere => {}
    }
    accepted
}
