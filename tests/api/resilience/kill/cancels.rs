//! The cancels of the kill test, each with the answers that its caller received, which must
//! still hold after every restart.

use std::collections::HashMap;
use std::net::SocketAddr;

use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;
use tokio::task::JoinSet;

use super::file::Row;
use super::plan::Cancel;
use crate::client::{self, Answer};
use crate::helpers::KEY;
use crate::marks::assert_clean;

/// Operations that are read concurrently.
const AT_A_TIME: usize = 8;

/// The minimum number of undisturbed cancels.
const CLEAR: usize = 40;

/// One cancel, and the answers that its caller has received.
pub struct TrackedCancel {
    pub cancel: Cancel,
    /// A kill cut it off before it was answered.
    pub cut_off: bool,
    /// It was answered that nothing was done.
    pub refused: bool,
    /// Whether its first poll was on disk at the end of the run in which it was requested.
    polled: Option<bool>,
    /// The operation named in its answer.
    pub id: Option<String>,
    /// The operation as it was shown finished, but for its location.
    pub finished: Option<Value>,
}

/// All that were requested so far.
#[derive(Default)]
pub struct Cancels(Vec<TrackedCancel>);

/// Pending answers, each with the number of its cancel.
pub type Answers = JoinSet<(usize, Option<Answer>)>;

impl Cancels {
    pub fn all(&self) -> &[TrackedCancel] {
        &self.0
    }

    /// Requests these, and repeats those that may be repeated.
    pub fn ask(&mut self, address: SocketAddr, cancels: Vec<Cancel>) -> Answers {
        self.0.extend(cancels.into_iter().map(TrackedCancel::new));
        let mut answers = JoinSet::new();
        for (number, tracked) in self.0.iter().enumerate() {
            let again = tracked.cut_off || tracked.refused;
            if tracked.id.is_none() && (!again || tracked.cancel.key.is_some()) {
                let bytes = tracked.request(address);
                answers.spawn(async move {
                    let answer = client::attempt(address, bytes.as_bytes()).await;
                    (number, answer)
                });
            }
        }
        answers
    }

    /// Collects all answers.
    pub async fn hear(&mut self, mut answers: Answers) {
        while let Some(answer) = answers.join_next().await {
            let (number, answer) = answer.unwrap();
            self.0[number].hear(answer);
        }
    }

    /// Those that may be repeated.
    pub fn unanswered(&self) -> usize {
        let wants = |tracked: &&TrackedCancel| tracked.id.is_none() && tracked.cancel.key.is_some();
        self.0.iter().filter(wants).count()
    }

    /// Reads every operation named in an answer. A finished one must be unchanged.
    pub async fn poll(&mut self, address: SocketAddr) {
        let known = self.0.iter_mut().filter(|tracked| tracked.id.is_some());
        stream::iter(known)
            .for_each_concurrent(AT_A_TIME, |tracked| tracked.poll(address))
            .await;
    }

    /// Records which of the new ones were polled in their first run.
    pub fn record_first_polls(&mut self, rows: &HashMap<String, Row>) {
        for tracked in &mut self.0 {
            let row = rows.get(&tracked.cancel.offer);
            let polled = || row.is_some_and(Row::was_polled);
            tracked.polled.get_or_insert_with(polled);
        }
    }

    /// The outcome of a cancel must be known if neither a kill nor the vendor disturbed its
    /// first poll.
    pub fn assert_found_out(&self, rows: &HashMap<String, Row>) {
        let clear = |tracked: &&TrackedCancel| {
            let is_undisturbed = !tracked.cut_off && tracked.polled == Some(true);
            is_undisturbed && tracked.cancel.goes_well()
        };
        let clear: Vec<&TrackedCancel> = self.0.iter().filter(clear).collect();
        assert!(clear.len() >= CLEAR, "only {}", clear.len());
        for tracked in clear {
            let row = &rows[&tracked.cancel.offer];
            assert_ne!(row.outcome.as_deref(), Some("unknown"), "{row:?}");
        }
    }

    /// What was acknowledged is in the ledger as it was answered.
    pub fn assert_recorded(&self, rows: &HashMap<String, Row>) {
        for tracked in &self.0 {
            let offer = &tracked.cancel.offer;
            let row = rows.get(offer);
            if tracked.refused && tracked.cancel.key.is_none() {
                assert!(row.is_none(), "refused, and recorded: {row:?}");
            }
            if let Some(row) = row {
                assert_eq!(row.request_id, tracked.cancel.request_id);
            }
            if let Some(row) = row.filter(|row| row.before > 0) {
                assert!(tracked.cancel.key.is_some(), "not repeated: {row:?}");
            }
            let Some(id) = &tracked.id else { continue };
            let row = row.unwrap_or_else(|| panic!("{offer} is not in the ledger"));
            assert_eq!(row.id(), *id);
            if let Some(finished) = &tracked.finished {
                assert_eq!(finished["status"], row.status, "{finished}");
                assert_eq!(finished["outcome"].as_str(), row.outcome.as_deref());
            }
        }
    }
}

impl TrackedCancel {
    fn new(cancel: Cancel) -> Self {
        Self {
            cancel,
            cut_off: false,
            refused: false,
            polled: None,
            id: None,
            finished: None,
        }
    }

    fn request(&self, address: SocketAddr) -> String {
        let key = self.cancel.key.map(|key| format!("\"{key}\""));
        let mut headers = vec![
            ("X-Api-Key", KEY),
            ("X-Request-Id", &*self.cancel.request_id),
        ];
        headers.extend(key.as_deref().map(|key| ("Idempotency-Key", key)));
        let path = format!("/offers/{}/cancel", self.cancel.offer);
        client::request(address, "POST", &path, &headers, "")
    }

    fn hear(&mut self, answer: Option<Answer>) {
        let Some(answer) = answer else {
            self.cut_off = true;
            return;
        };
        assert_clean("an answer", &format!("{answer:?}"));
        let document = answer.json();
        match answer.status {
            200 | 202 => {
                self.see(document);
                let finished = self.finished.is_some();
                assert_eq!(finished, answer.status == 200, "{answer:?}");
            }
            // The operation exists already and will be returned.
            409 if document["code"] == "idempotency-key-in-use" => self.refused = true,
            status => match document["operationLocation"].as_str() {
                Some(location) => self.is(location.rsplit('/').next().unwrap()),
                None => {
                    answer.problem(status, "draining");
                    client::assert_not_delivered(&document);
                    self.refused = true;
                }
            },
        }
    }

    async fn poll(&mut self, address: SocketAddr) {
        let path = format!("/operations/{}", self.id.as_deref().unwrap());
        let answer = client::send(address, "GET", &path, &[("X-Api-Key", KEY)], "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        self.see(answer.json());
    }

    /// The operation as it is shown.
    fn see(&mut self, mut operation: Value) {
        self.is(operation["id"].as_str().unwrap());
        assert_eq!(operation["offerId"], self.cancel.offer);
        assert_eq!(operation["requestId"], self.cancel.request_id);
        // Each start has another port.
        operation
            .as_object_mut()
            .unwrap()
            .remove("operationLocation");
        let finished = !["NotStarted", "Running"].contains(&operation["status"].as_str().unwrap());
        if let Some(known) = &self.finished {
            assert_eq!(*known, operation, "it was finished before");
        } else if finished {
            self.finished = Some(operation);
        }
    }

    /// Every answer names the same operation.
    fn is(&mut self, id: &str) {
        let known = self.id.get_or_insert_with(|| id.to_owned());
        assert_eq!(known, id, "another operation: {}", self.cancel.offer);
    }
}
