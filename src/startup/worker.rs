//! What each thread is given: clients and connections belong to one thread, so they
//! are made where they are used.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::http::{CurrentAccess, Gate, Limits, Room};
use crate::ledger::{Ledger, LedgerClient};
use crate::operation::{AuthorizedPortal, Desk, DeskShared, Publishers};
use crate::portal::{Portal, PortalOptions};
use crate::transport::Transport;

/// How each thread gets to the vendor.
#[derive(Clone)]
pub struct Vendors {
    pub transport: Transport,
    pub portal: PortalOptions,
    pub publishers: Publishers,
}

impl Vendors {
    /// The vendor for the calling thread, with its own connections.
    pub fn here(&self) -> AuthorizedPortal {
        let portal = Portal::new(&self.transport, self.portal.clone());
        AuthorizedPortal::new(portal, self.publishers.clone())
    }
}

/// What every worker's [`Gate`] is made from.
#[derive(Clone)]
pub struct Gates {
    pub access: CurrentAccess,
    pub desk: DeskShared,
    pub vendors: Vendors,
    pub ledger: Ledger,
    pub public_url: Arc<str>,
    pub portal_url: Arc<str>,
    pub poll: Duration,
    pub max_wait: Duration,
    pub events_beat: Duration,
    pub room: Room,
    pub limits: Limits,
}

impl Gates {
    /// The gate of the calling worker thread.
    pub fn here(&self) -> Gate {
        let ledger = LedgerClient::new(self.ledger.clone());
        let desk = Desk::new(self.desk.clone(), ledger.clone(), self.vendors.here());
        Gate {
            access: self.access.clone(),
            desk: Rc::new(desk),
            ledger,
            public_url: Arc::clone(&self.public_url),
            portal_url: Arc::clone(&self.portal_url),
            poll: self.poll,
            max_wait: self.max_wait,
            events_beat: self.events_beat,
            room: self.room.clone(),
            draining: self.desk.draining.clone(),
            limits: self.limits,
        }
    }
}
