//! The action-specific part of sending an action.

use std::future::Future;

use super::authorized_portal::{AuthorizedPortal, Exchange};
use crate::domain::{Email, Operation};
use crate::policy::{Permit, Right};

/// How an action is sent, and what a finished answer of the vendor means for it. `outcome`
/// judges later evidence by the operation's action.
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
