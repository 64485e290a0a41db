//! The ids of an offer.

/// Which offer, as the caller spelled it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) publisher: String,
    pub(crate) offer: String,
}

impl Key {
    pub(crate) fn new(publisher: &str, offer: &str) -> Self {
        Self {
            publisher: publisher.to_owned(),
            offer: offer.to_owned(),
        }
    }

    /// The vendor compares ids without case.
    pub(super) fn folded(&self) -> (String, String) {
        let fold = str::to_ascii_lowercase;
        (fold(&self.publisher), fold(&self.offer))
    }
}
