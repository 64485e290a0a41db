//! A look: what it costs the vendor, and what it brings.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use crate::operation::vendor::{Listing, Unread, Vendor};
use crate::portal::{Location, Target};

/// How much longer than the list the words may take: nothing is decided by them.
const WORDS_LATE: Duration = Duration::from_secs(10);

/// What one look brought.
pub struct Seen {
    /// The offer's submissions.
    pub listing: Listing,
    /// The vendor's words, where it gave one.
    words: Vec<(Location, Option<String>)>,
    /// How long the vendor asked us to stay away, if it did.
    pub retry_after: Option<Duration>,
}

impl Seen {
    #[cfg(test)]
    pub fn of(listing: Listing, retry_after: Option<Duration>) -> Self {
        Self {
            listing,
            words: Vec::new(),
            retry_after,
        }
    }

    /// The vendor's word at a location.
    #[must_use]
    pub fn word(&self, location: Location) -> Option<&str> {
        let (_, word) = self.words.iter().find(|(at, _)| *at == location)?;
        word.as_deref()
    }
}

/// Reads the offer's submissions, and beside them the words at these locations, one
/// after the other: at most two requests at a time.
pub async fn look(vendor: Rc<Vendor>, target: Rc<Target>, locations: Vec<Location>) -> Seen {
    let (mut words, mut throttled) = (Vec::new(), None);
    let listing = {
        let reading = async {
            for location in locations {
                match vendor.status_word(&target, location).await {
                    Ok(word) => words.push((location, word)),
                    Err(unread) => throttled = unread.retry_after(),
                }
                if throttled.is_some() {
                    break;
                }
            }
        };
        let listing = vendor.submissions(&target);
        tokio::pin!(reading, listing);
        tokio::select! {
            listing = &mut listing => {
                let _in_time = timeout(WORDS_LATE, reading).await;
                listing
            }
            () = &mut reading => listing.await,
        }
    };
    let unread = listing.submissions.as_ref().err();
    let retry_after = unread.and_then(Unread::retry_after).max(throttled);
    Seen {
        listing,
        words,
        retry_after,
    }
}
