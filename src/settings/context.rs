//! What the sections need to know of each other.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::identity::Issuers;
use super::reader::At;
use crate::domain::PublisherId;

/// What later sections need to know of earlier ones, whatever else is wrong with those.
pub(super) struct Context {
    /// `server.listen`, if it is good.
    pub(super) public_listen: Option<(At, SocketAddr)>,
    /// Clients can present a certificate, or it is unknown whether they can.
    pub(super) client_certificates: bool,
    /// Plain HTTP is allowed, or it is unknown whether it is.
    pub(super) allow_plain_http: bool,
    /// The portal is on this machine, or its address is unknown; so is the one that a
    /// running gateway uses until it is restarted.
    pub(super) portal_is_local: bool,
    /// The names of the credentials, good or not.
    pub(super) credentials: BTreeMap<String, At>,
    /// The publishers, if all their ids are good.
    pub(super) publishers: Option<Vec<PublisherId>>,
    /// The issuers that callers can name.
    pub(super) issuers: Issuers,
}

impl Context {
    /// Before any section is read: what is unknown refuses nothing.
    pub fn new(portal_is_local: bool) -> Self {
        Self {
            public_listen: None,
            client_certificates: true,
            allow_plain_http: true,
            portal_is_local,
            credentials: BTreeMap::new(),
            publishers: None,
            issuers: Issuers::default(),
        }
    }
}
