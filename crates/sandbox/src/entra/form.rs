//! The form in the body of a request for a token.

use super::error::EntraError;
use crate::wire::Request;

/// The form of a request; empty if it has none.
pub(super) struct Form(Vec<(String, String)>);

impl Form {
    pub(super) fn of(request: &Request) -> Self {
        let is_form = request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let pairs = serde_urlencoded::from_bytes(&request.body);
        Self(pairs.ok().filter(|_| is_form).unwrap_or_default())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let mut given = self.0.iter().filter(|(_, value)| !value.is_empty());
        given
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn required(&self, name: &'static str) -> Result<&str, EntraError> {
        self.get(name).ok_or(EntraError::Parameter(name))
    }
}
