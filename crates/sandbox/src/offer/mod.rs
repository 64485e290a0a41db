//! An offer and its publishing runs: a state machine with time as an argument. Nothing here
//! sleeps or polls; what is due by `now` happens when the offer is next looked at, stamped with
//! the moment at which it was due.

mod behaviour;
mod definition;
mod description;
mod key;
mod location;
mod progress;
mod scenario;
mod store;
mod submission;
mod truth;

pub(super) use behaviour::{Access, Behaviour, CancelStyle, LocationStyle};
pub(super) use definition::{Definition, Edition, Slot};
pub(super) use description::{DescriptionError, OfferDescription, SubmissionDescription};
pub(super) use key::Key;
pub(super) use location::Accepted;
pub(super) use progress::{ActionError, Cancel, Offer, until};
pub(super) use scenario::scenario_names;
pub(super) use store::{OfferError, Offers, PUBLISHERS, is_known_publisher};
pub(super) use submission::Submission;

#[cfg(test)]
mod tests;
