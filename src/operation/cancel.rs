//! `cancel`: stops whatever the vendor is doing to an offer. A publish or a go-live is one
//! more file like this one.

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
