//! From a credential to a caller. Knowing who asks is not yet allowing anything.

mod api_key;
mod certificate;

pub use api_key::{ApiKeys, DuplicateKey, KeyRefused, MAX_KEY, MIN_KEY, hash};
pub use certificate::{
    CertificateRefused, ClientCa, ClientCertificates, DuplicateSan, InvalidCa, PeerCertificate,
};
