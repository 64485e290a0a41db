//! `cancel`: stops the vendor's current operation on an offer. Further actions, such as
//! publish and go-live, are further files like this one.

use super::act::Act;
use super::authorized_portal::{AuthorizedPortal, Exchange};
use crate::domain::{Email, Operation, Outcome};
use crate::policy::{Cancel, Permit};

impl Act for Cancel {
    async fn send(portal: &AuthorizedPortal, permit: &Permit<Self>, notify: &[Email]) -> Exchange {
        portal.cancel(permit, notify).await
    }

    fn finish(operation: &mut Operation) {
        operation.finish(Outcome::Canceled, None);
    }
}
