//! What one action adds to the road that all of them take.

use std::future::Future;

use super::authorized_portal::{AuthorizedPortal, Exchange};
use crate::domain::{Email, Operation};
use crate::policy::{Permit, Right};

/// How one action is sent, and what it means that the vendor finished it at once. How its
/// outcome is judged is a match on the operation's action in `outcome`.
pub trait Act: Right + Sized + 'static {
    /// Sends it to the vendor, once.
    fn send(
        portal: &AuthorizedPortal,
        permit: &Permit<Self>,
        notify: &[Email],
    ) -> impl Future<Output = Exchange>;

    /// Ends the operation: the vendor says that it has done what was requested.
    fn finish(operation: &mut Operation);
}
