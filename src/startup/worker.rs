//! Per-thread state. Clients and their connections belong to one thread,
//! so they are made on the thread that uses them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::http::{AppState, Contract, CurrentAccess, LongPollLimit, RequestLimits};
use crate::ledger::{Ledger, LedgerClient};
use crate::operation::{
    AuthorizedPortal, OperationService, Publishers, ReplyConfig, ServiceShared,
};
use crate::portal::{Portal, PortalOptions};
use crate::transport::Transport;

/// Makes a thread's access to the vendor.
#[derive(Clone)]
pub struct Vendors {
    pub transport: Transport,
    pub portal: PortalOptions,
    pub publishers: Publishers,
}

impl Vendors {
    /// The vendor for the calling thread, with connections of its own.
    pub fn here(&self) -> AuthorizedPortal {
        let portal = Portal::new(&self.transport, self.portal.clone());
        AuthorizedPortal::new(portal, self.publishers.clone())
    }
}

/// Makes each worker's [`AppState`].
#[derive(Clone)]
pub struct AppStateFactory {
    pub access: CurrentAccess,
    pub operations: ServiceShared,
    pub vendors: Vendors,
    pub ledger: Ledger,
    pub reply: ReplyConfig,
    pub max_wait: Duration,
    pub keepalive: Duration,
    pub long_polls: LongPollLimit,
    pub limits: RequestLimits,
    pub contract: Arc<Contract>,
}

impl AppStateFactory {
    /// The state of the calling worker thread.
    pub fn build(&self) -> AppState {
        let ledger = LedgerClient::new(self.ledger.clone());
        let shared = self.operations.clone();
        let operations = OperationService::new(shared, ledger.clone(), self.vendors.here());
        AppState {
            access: self.access.clone(),
            operations: Rc::new(operations),
            ledger,
            reply: self.reply.clone(),
            max_wait: self.max_wait,
            keepalive: self.keepalive,
            long_polls: self.long_polls.clone(),
            draining: self.operations.draining.clone(),
            limits: self.limits,
            contract: Arc::clone(&self.contract),
        }
    }
}
