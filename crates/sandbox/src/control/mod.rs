//! The control routes below `/_sandbox/v1/`: a test tells the vendor what to do and asks what is
//! true. Strict where the vendor is lax: an unknown member, parameter or name is refused with a
//! sentence that lists the known ones.

mod credentials;
mod error;
mod journal;
mod offers;
mod routes;
mod token;

pub(super) use routes::respond;
