//! The query parameters of a control request: unknown ones are refused.

use super::error::ControlError;
use crate::wire::Request;

/// The query parameters, all of which must be among `known`.
pub(super) fn parameters(
    request: &Request,
    known: &[&str],
) -> Result<Vec<(String, String)>, ControlError> {
    let pairs = request.query_pairs();
    match pairs
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))
    {
        None => Ok(pairs),
        Some((name, _)) => Err(ControlError::Invalid(format!(
            "unknown parameter {name:?}; known: {}",
            known.join(", ")
        ))),
    }
}

/// A numeric parameter.
pub(super) fn number(name: &str, value: &str) -> Result<u64, ControlError> {
    value
        .parse()
        .map_err(|_| ControlError::Invalid(format!("{name} must be a number, not {value:?}")))
}
