//! What an issuer of callers' tokens publishes, as far as it is of use.

use serde::Serialize;

/// The keys of one issuer, as `/readyz` shows them.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IssuerHealth {
    /// The issuer.
    pub issuer: String,
    /// The seconds since its keys were last fetched; null before the first time.
    pub keys_age_seconds: Option<u64>,
    /// How many of its keys can verify tokens.
    pub usable_keys: usize,
    /// The keys that cannot.
    pub left_out: Vec<LeftOutKeys>,
}

/// Keys of a set that are left out for the same reason.
#[derive(Debug, Clone, Serialize)]
pub struct LeftOutKeys {
    /// How many.
    pub count: usize,
    /// Why.
    pub reason: String,
}
