//! The journal: every request that the portal and the token endpoint received, for tests to
//! read. What the gateway sent is the one thing that its own responses cannot prove. Bounded;
//! credentials appear only as hashes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
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
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    pub(super) seq: u64,
    at: String,
    method: String,
    path: String,
    query: String,
    headers: BTreeMap<String, String>,
    body: String,
    connection: u64,
    publisher: Option<String>,
    offer: Option<String>,
    answered: Option<u16>,
    fault: Option<String>,
}

/// Selects entries; what is not set matches everything.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Filter {
    pub(super) method: Option<String>,
    /// A substring of the path.
    pub(super) path: Option<String>,
    pub(super) offer: Option<String>,
    /// Only entries with a greater sequence number.
    pub(super) after: Option<u64>,
    /// How many entries to wait for, and for how long.
    pub(super) at_least: usize,
    pub(super) timeout_ms: u64,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            method: None,
            path: None,
            offer: None,
            after: None,
            at_least: 0,
            timeout_ms: 10_000,
        }
    }
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
        let mut inner = self.inner.lock();
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
        let mut inner = self.inner.lock();
        let index = inner.entries.binary_search_by_key(&seq, |entry| entry.seq);
        if let Some(entry) = index.ok().and_then(|at| inner.entries.get_mut(at)) {
            change(entry);
        }
    }

    /// Removes all entries; sequence numbers continue.
    pub(super) fn clear(&self) {
        let mut inner = self.inner.lock();
        inner.entries.clear();
        inner.dropped = 0;
    }

    /// The entries that match, oldest first.
    pub(super) fn read(&self, filter: &Filter) -> JournalPage {
        let inner = self.inner.lock();
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
        let inner = self.inner.lock();
        inner
            .entries
            .iter()
            .filter(|entry| filter.matches(entry))
            .count()
    }
}

impl Entry {
    fn of(request: &Request, key: Option<&Key>) -> Self {
        let is_form = request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let mut headers = BTreeMap::<String, String>::new();
        for (name, value) in &request.headers {
            let all = headers.entry(name.clone()).or_default();
            if !all.is_empty() {
                all.push_str(", ");
            }
            all.push_str(&redact::header(name, value));
        }
        let kept = &request.body[..request.body.len().min(BODY_LIMIT)];
        let body = String::from_utf8_lossy(kept);
        Self {
            seq: 0,
            at: rfc3339(Timestamp::now()),
            method: request.method.clone(),
            path: redact::tokens(&request.path),
            query: redact::form(&request.query),
            headers,
            // A form sent with another content type still holds a secret.
            body: if is_form || body.contains("client_") {
                redact::form(&body)
            } else {
                redact::tokens(&body)
            },
            connection: request.connection,
            publisher: key.map(|key| key.publisher.clone()),
            offer: key.map(|key| key.offer.clone()),
            answered: None,
            fault: None,
        }
    }
}

impl Filter {
    fn matches(&self, entry: &Entry) -> bool {
        self.method
            .as_ref()
            .is_none_or(|method| entry.method.eq_ignore_ascii_case(method))
            && self
                .path
                .as_ref()
                .is_none_or(|part| entry.path.contains(part.as_str()))
            && (self.offer.is_none() || self.offer == entry.offer)
            && self.after.is_none_or(|after| entry.seq > after)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

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
        let entry = json!(excerpt.entries[0]);
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
