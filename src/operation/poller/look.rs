//! A look: what it costs the vendor, and what it brings.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use crate::domain::Target;
use crate::operation::authorized_portal::{AuthorizedPortal, ReadFailure, SubmissionsSnapshot};
use crate::portal::Location;

/// How much longer than the list the words may take: nothing is decided by them.
const WORDS_LATE: Duration = Duration::from_secs(1);

/// What one look brought.
pub struct Seen {
    /// The offer's submissions.
    pub listing: SubmissionsSnapshot,
    /// The vendor's words, where it was asked for one, and said one.
    words: HashMap<Location, Option<String>>,
    /// How long the vendor asked not to be asked for words.
    pub no_words_for: Option<Duration>,
}

impl Seen {
    #[cfg(test)]
    pub fn of(
        listing: SubmissionsSnapshot,
        words: &[Location],
        no_words_for: Option<Duration>,
    ) -> Self {
        Self {
            listing,
            words: words.iter().map(|location| (*location, None)).collect(),
            no_words_for,
        }
    }

    /// The vendor's word at a location.
    #[must_use]
    pub fn word(&self, location: Location) -> Option<&str> {
        self.words.get(&location)?.as_deref()
    }

    /// Whether the vendor was asked for its word there.
    #[must_use]
    pub fn has_asked(&self, location: Location) -> bool {
        self.words.contains_key(&location)
    }

    /// How long the vendor asked us to stay away.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let unread = self.listing.submissions.as_ref().err();
        unread.and_then(ReadFailure::retry_after)
    }
}

/// Reads the offer's submissions, and beside them the words at these locations, one
/// after the other: at most two requests at a time.
pub async fn look(
    portal: Rc<AuthorizedPortal>,
    target: Rc<Target>,
    locations: Vec<Location>,
) -> Seen {
    let (mut words, mut no_words_for) = (HashMap::new(), None);
    let listing = {
        let reading = async {
            for location in locations {
                let said = words.entry(location).or_insert(None);
                match portal.status_word(&target, location).await {
                    Ok(word) => *said = word,
                    Err(unread) => no_words_for = unread.retry_after(),
                }
                if no_words_for.is_some() {
                    break;
                }
            }
        };
        let listing = portal.submissions(&target);
        tokio::pin!(reading, listing);
        tokio::select! {
            listing = &mut listing => {
                let _in_time = timeout(WORDS_LATE, reading).await;
                listing
            }
            () = &mut reading => listing.await,
        }
    };
    Seen {
        listing,
        words,
        no_words_for,
    }
}
