//! Warnings of certificates and secrets that end.

use crate::domain::Validity;

/// What is wrong with the dates of a certificate or secret, or will be within `soon` days.
pub fn warning(subject: &str, validity: Validity, soon: i64) -> Option<String> {
    let state = match validity {
        Validity::NotYetValid => return Some(format!("the {subject} is not valid yet")),
        Validity::Days(days) if days >= soon => return None,
        Validity::Expired => "has expired".to_owned(),
        Validity::Days(0) => "expires within a day".to_owned(),
        Validity::Days(1) => "expires in 1 day".to_owned(),
        Validity::Days(days) => format!("expires in {days} days"),
    };
    Some(format!("the {subject} {state}; replace it"))
}
