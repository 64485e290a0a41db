//! The cancels of the kill test, each with what its caller was told: all of which must
//! still be so after every restart.

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

/// Operations that are looked at at a time.
const AT_A_TIME: usize = 8;

/// The least number of cancels that nothing was in the way of.
const CLEAR: usize = 40;

/// One cancel, and what its caller knows.
pub struct Asked {
    pub cancel: Cancel,
    /// It was once cut off: the gateway died before it had answered.
    pub cut_off: bool,
    /// It was told that nothing was done.
    pub refused: bool,
    /// Whether its first look was on the disk when the life in which it was asked for
    /// was over.
    looked_at: Option<bool>,
    /// The operation that it was told of.
    pub id: Option<String>,
    /// The operation as it was shown finished, but for its location.
    pub finished: Option<Value>,
}

/// All that were asked for so far.
#[derive(Default)]
pub struct Cancels(Vec<Asked>);

/// Answers that are under way, each with the number of its cancel.
pub type Answers = JoinSet<(usize, Option<Answer>)>;

impl Cancels {
    pub fn all(&self) -> &[Asked] {
        &self.0
    }

    /// Asks for these, and again for those that may be asked for again.
    pub fn ask(&mut self, address: SocketAddr, cancels: Vec<Cancel>) -> Answers {
        self.0.extend(cancels.into_iter().map(Asked::new));
        let mut answers = JoinSet::new();
        for (number, asked) in self.0.iter().enumerate() {
            let again = asked.cut_off || asked.refused;
            if asked.id.is_none() && (!again || asked.cancel.key.is_some()) {
                let bytes = asked.request(address);
                answers.spawn(async move {
                    let answer = client::attempt(address, bytes.as_bytes()).await;
                    (number, answer)
                });
            }
        }
        answers
    }

    /// Takes all answers in.
    pub async fn hear(&mut self, mut answers: Answers) {
        while let Some(answer) = answers.join_next().await {
            let (number, answer) = answer.unwrap();
            self.0[number].hear(answer);
        }
    }

    /// Those that may be asked for again.
    pub fn unanswered(&self) -> usize {
        let wants = |asked: &&Asked| asked.id.is_none() && asked.cancel.key.is_some();
        self.0.iter().filter(wants).count()
    }

    /// Looks at every operation that a caller was told of. What was finished before is
    /// what it was.
    pub async fn look(&mut self, address: SocketAddr) {
        let known = self.0.iter_mut().filter(|asked| asked.id.is_some());
        stream::iter(known)
            .for_each_concurrent(AT_A_TIME, |asked| asked.look(address))
            .await;
    }

    /// Notes of those that are new which of them were looked at in their first life.
    pub fn note_first_looks(&mut self, rows: &HashMap<String, Row>) {
        for asked in &mut self.0 {
            let row = rows.get(&asked.cancel.offer);
            let looked_at = || row.is_some_and(Row::was_looked_at);
            asked.looked_at.get_or_insert_with(looked_at);
        }
    }

    /// What became of a cancel is known if neither a kill nor the vendor was in the way
    /// of its first look.
    pub fn assert_found_out(&self, rows: &HashMap<String, Row>) {
        let clear = |asked: &&Asked| {
            let is_undisturbed = !asked.cut_off && asked.looked_at == Some(true);
            is_undisturbed && asked.cancel.goes_well()
        };
        let clear: Vec<&Asked> = self.0.iter().filter(clear).collect();
        assert!(clear.len() >= CLEAR, "only {}", clear.len());
        for asked in clear {
            let row = &rows[&asked.cancel.offer];
            assert_ne!(row.outcome.as_deref(), Some("unknown"), "{row:?}");
        }
    }

    /// What was acknowledged is in the ledger, as it was told.
    pub fn assert_recorded(&self, rows: &HashMap<String, Row>) {
        for asked in &self.0 {
            let offer = &asked.cancel.offer;
            let row = rows.get(offer);
            if asked.refused && asked.cancel.key.is_none() {
                assert!(row.is_none(), "refused, and recorded: {row:?}");
            }
            if let Some(row) = row {
                assert_eq!(row.request_id, asked.cancel.request_id);
            }
            if let Some(row) = row.filter(|row| row.before > 0) {
                assert!(asked.cancel.key.is_some(), "nobody asked again: {row:?}");
            }
            let Some(id) = &asked.id else { continue };
            let row = row.unwrap_or_else(|| panic!("{offer} is not in the ledger"));
            assert_eq!(row.id(), *id);
            if let Some(finished) = &asked.finished {
                assert_eq!(finished["status"], row.status, "{finished}");
                assert_eq!(finished["outcome"].as_str(), row.outcome.as_deref());
            }
        }
    }
}

impl Asked {
    fn new(cancel: Cancel) -> Self {
        Self {
            cancel,
            cut_off: false,
            refused: false,
            looked_at: None,
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
            // What it is about exists already, and will be told.
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

    async fn look(&mut self, address: SocketAddr) {
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
        // The port is another one after each start.
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

    /// It is told of this operation, and of no other.
    fn is(&mut self, id: &str) {
        let known = self.id.get_or_insert_with(|| id.to_owned());
        assert_eq!(known, id, "another operation: {}", self.cancel.offer);
    }
}
