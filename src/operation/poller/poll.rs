//! One poll: its requests to the portal, and its results.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::timeout;

use crate::domain::Target;
use crate::operation::authorized_portal::{
    AuthorizedPortal, CallFailure, ReadFailure, SubmissionsSnapshot,
};
use crate::portal::Location;

/// How much longer than the list the status texts may take: they decide nothing.
const TEXTS_LATE: Duration = Duration::from_secs(1);

/// The results of one poll.
pub struct PollResult {
    /// The offer's submissions.
    pub snapshot: SubmissionsSnapshot,
    /// The portal's status texts: where it was asked for one, and what it gave.
    texts: HashMap<Location, Option<String>>,
    /// How long the portal asked for no requests for status texts.
    pub texts_retry_after: Option<Duration>,
}

impl PollResult {
    #[cfg(test)]
    pub fn new(
        snapshot: SubmissionsSnapshot,
        asked: &[Location],
        texts_retry_after: Option<Duration>,
    ) -> Self {
        Self {
            snapshot,
            texts: asked.iter().map(|location| (*location, None)).collect(),
            texts_retry_after,
        }
    }

    /// The portal's status text at a location.
    #[must_use]
    pub fn status_text(&self, location: Location) -> Option<&str> {
        self.texts.get(&location)?.as_deref()
    }

    /// Whether the portal was asked for its status text there.
    #[must_use]
    pub fn has_asked(&self, location: Location) -> bool {
        self.texts.contains_key(&location)
    }

    /// Whether the portal itself asked for no requests for submissions; else there is no
    /// token, which is nothing that fewer requests would mend.
    #[must_use]
    pub fn is_throttled(&self) -> bool {
        let failure = self.snapshot.submissions.as_ref().err();
        failure.is_some_and(|failure| {
            matches!(failure, CallFailure::Portal(_)) && failure.retry_after().is_some()
        })
    }

    /// How long no requests for submissions are to be made.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let failure = self.snapshot.submissions.as_ref().err();
        failure.and_then(ReadFailure::retry_after)
    }
}

/// Reads the offer's submissions, and beside them the status texts at these locations
/// one after the other: at most two requests at a time.
pub async fn poll(
    portal: Rc<AuthorizedPortal>,
    target: Rc<Target>,
    locations: Vec<Location>,
) -> PollResult {
    let (mut texts, mut texts_retry_after) = (HashMap::new(), None);
    let snapshot = {
        let reading = async {
            for location in locations {
                let text = texts.entry(location).or_insert(None);
                match portal.status_text(&target, location).await {
                    Ok(found) => *text = found,
                    Err(failure) => texts_retry_after = failure.retry_after(),
                }
                if texts_retry_after.is_some() {
                    break;
                }
            }
        };
        let snapshot = portal.submissions(&target);
        tokio::pin!(reading, snapshot);
        tokio::select! {
            snapshot = &mut snapshot => {
                let _in_time = timeout(TEXTS_LATE, reading).await;
                snapshot
            }
            () = &mut reading => snapshot.await,
        }
    };
    PollResult {
        snapshot,
        texts,
        texts_retry_after,
    }
}
