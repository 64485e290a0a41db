//! The journal: every request that the portal and the token endpoint received, for tests to
//! read. What the gateway sent is the one thing that its own responses cannot prove. Bounded;
//! credentials appear only as hashes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::sync::watch;
use tokio::time::timeout;

use super::offer::Key;
use super::redact;
use super::text::rfc3339;
use super::wire::Request;

/// Entries that the journal holds; the oldest are dropped first.
pub(super) const LIMIT: usize = 100_000;
/// Bytes of a body that an entry keeps.
const BODY_LIMIT: usize = 64 * 1024;

/// One request and the status of its response.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) seq: u64,
    at: Timestamp,
    method: String,
    path: String,
    query: String,
    headers: Vec<(String, String)>,
    body: String,
    connection: u64,
    key: Option<Key>,
    answered: Option<u16>,
    fault: Option<String>,
}

/// Selects entries; what is not set matches everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    pub(super) method: Option<String>,
    /// A substring of the path.
    pub(super) path: Option<String>,
    pub(super) offer: Option<String>,
    /// Only entries with a greater sequence number.
    pub(super) after: Option<u64>,
}

/// The entries that a filter selects.
#[derive(Debug)]
pub(super) struct JournalPage {
    pub(super) entries: Vec<Entry>,
    /// Entries dropped since the journal was last cleared, because it was full.
    pub(super) dropped: u64,
}

#[derive(Debug)]
pub(super) struct Journal {
    limit: usize,
    inner: Mutex<Inner>,
    changes: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: VecDeque<Entry>,
    next: u64,
    dropped: u64,
}

impl Journal {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            inner: Mutex::default(),
            changes: watch::Sender::new(()),
        }
    }

    /// Records a request before it is executed; returns its sequence number.
    pub(super) fn record(&self, request: &Request, key: Option<&Key>) -> u64 {
        let mut entry = Entry::of(request, key);
        let mut inner = self.lock();
        inner.next += 1;
        entry.seq = inner.next;
        let seq = entry.seq;
        if inner.entries.len() == self.limit {
            inner.entries.pop_front();
            inner.dropped += 1;
        }
        inner.entries.push_back(entry);
        drop(inner);
        self.changes.send_replace(());
        seq
    }

    pub(super) fn record_fault(&self, seq: u64, fault: String) {
        self.amend(seq, |entry| entry.fault = Some(fault));
    }

    pub(super) fn record_status(&self, seq: u64, status: u16) {
        self.amend(seq, |entry| entry.answered = Some(status));
    }

    fn amend(&self, seq: u64, change: impl FnOnce(&mut Entry)) {
        let mut inner = self.lock();
        // Sequence numbers are consecutive, so an entry's index follows from its number.
        let first = inner.entries.front().map_or(0, |entry| entry.seq);
        let index = seq
            .checked_sub(first)
            .and_then(|at| usize::try_from(at).ok());
        if let Some(entry) = index.and_then(|at| inner.entries.get_mut(at)) {
            change(entry);
        }
    }

    /// Removes all entries; sequence numbers continue.
    pub(super) fn clear(&self) {
        let mut inner = self.lock();
        inner.entries.clear();
        inner.dropped = 0;
    }

    /// The entries that match, oldest first.
    pub(super) fn read(&self, filter: &Filter) -> JournalPage {
        let inner = self.lock();
        let matching = inner.entries.iter().filter(|entry| filter.matches(entry));
        JournalPage {
            entries: matching.cloned().collect(),
            dropped: inner.dropped,
        }
    }

    /// The entries that match, as soon as there are `at_least` of them, or after `max_wait`.
    pub(super) async fn wait(
        &self,
        filter: &Filter,
        at_least: usize,
        max_wait: Duration,
    ) -> JournalPage {
        let mut changes = self.changes.subscribe();
        let enough =
            async { while self.count(filter) < at_least && changes.changed().await.is_ok() {} };
        // After a timeout, the entries so far are the result.
        let _ = timeout(max_wait, enough).await;
        self.read(filter)
    }

    fn count(&self, filter: &Filter) -> usize {
        let inner = self.lock();
        inner
            .entries
            .iter()
            .filter(|entry| filter.matches(entry))
            .count()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn of(request: &Request, key: Option<&Key>) -> Self {
        let is_form = request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let kept = &request.body[..request.body.len().min(BODY_LIMIT)];
        let body = String::from_utf8_lossy(kept);
        Self {
            seq: 0,
            at: Timestamp::now(),
            method: request.method.clone(),
            path: redact::tokens(&request.path),
            query: redact::form(&request.query),
            headers: request
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), redact::header(name, value)))
                .collect(),
            // A form sent with another content type still holds a secret.
            body: if is_form || body.contains("client_") {
                redact::form(&body)
            } else {
                redact::tokens(&body)
            },
            connection: request.connection,
            key: key.cloned(),
            answered: None,
            fault: None,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut headers = Map::new();
        for (name, value) in &self.headers {
            match headers.get_mut(name) {
                Some(Value::String(all)) => {
                    all.push_str(", ");
                    all.push_str(value);
                }
                _ => {
                    headers.insert(name.clone(), value.clone().into());
                }
            }
        }
        json!({
            "seq": self.seq,
            "at": rfc3339(self.at),
            "method": self.method,
            "path": self.path,
            "query": self.query,
            "headers": headers,
            "body": self.body,
            "connection": self.connection,
            "publisher": self.key.as_ref().map(|key| &key.publisher),
            "offer": self.key.as_ref().map(|key| &key.offer),
            "answered": self.answered,
            "fault": self.fault,
        })
    }
}

impl Filter {
    fn matches(&self, entry: &Entry) -> bool {
        let offer = entry.key.as_ref().map(|key| key.offer.as_str());
        self.method
            .as_ref()
            .is_none_or(|method| entry.method.eq_ignore_ascii_case(method))
            && self
                .path
                .as_ref()
                .is_none_or(|part| entry.path.contains(part.as_str()))
            && self.offer.as_deref().is_none_or(|id| offer == Some(id))
            && self.after.is_none_or(|after| entry.seq > after)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn request(path: &str, authorization: &str) -> Request {
        Request {
            method: "POST".into(),
            path: path.into(),
            query: String::new(),
            headers: vec![("authorization".into(), authorization.into())],
            body: b"grant_type=x&client_secret=hush".to_vec(),
            framed: true,
            keep_alive: true,
            connection: 1,
            plaintext: false,
        }
    }

    #[test]
    fn an_entry_shows_no_credential() {
        let journal = Journal::new(2);
        let seq = journal.record(&request("/a", "Bearer hush"), None);
        journal.record_fault(seq, "delay".into());
        journal.record_status(seq, 202);
        let excerpt = journal.read(&Filter::default());
        let entry = excerpt.entries[0].to_json();
        assert!(!entry.to_string().contains("hush"));
        assert_eq!(
            (&entry["answered"], &entry["fault"]),
            (&json!(202), &json!("delay"))
        );
    }

    #[test]
    fn a_full_journal_drops_and_counts_the_oldest() {
        let journal = Journal::new(2);
        let request = request("/a", "x");
        for _ in 0..4 {
            journal.record(&request, None);
        }
        journal.record_status(1, 200);
        journal.record_status(3, 200);
        let excerpt = journal.read(&Filter::default());
        assert_eq!((excerpt.entries.len(), excerpt.dropped), (2, 2));
        assert_eq!(excerpt.entries[0].seq, 3);
        assert_eq!(excerpt.entries[0].answered, Some(200));
    }

    #[tokio::test]
    async fn waiting_ends_with_the_event() {
        let journal = Journal::new(2);
        let filter = Filter {
            path: Some("/b".into()),
            ..Filter::default()
        };
        let max_wait = Duration::from_secs(60);
        let wait = journal.wait(&filter, 1, max_wait);
        let enter = async {
            journal.record(&request("/a", "x"), None);
            journal.record(&request("/b", "x"), None);
        };
        let (excerpt, ()) = tokio::join!(wait, enter);
        assert_eq!(excerpt.entries.len(), 1);
        let none = journal.wait(&filter, 2, Duration::from_millis(1)).await;
        assert_eq!(none.entries.len(), 1, "after a timeout, the entries so far");
    }
}
